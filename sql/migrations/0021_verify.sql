-- What verify finds.
create type pyengine.violation as (
    invariant text,
    workflow_id text,
    detail text
);
comment on type pyengine.violation is 'Something that must never be: which rule is broken, by which workflow (null if by none alone), and how.';
