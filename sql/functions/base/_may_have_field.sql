-- Whether a document, or one of an array, may have a field: a look at the text, far cheaper than reading it. A name that is
-- written with escapes may be any.
create or replace function pyengine._may_have_field(document json, field text)
returns boolean
language sql
immutable
as $$
    select pg_catalog.strpos(document::text, '"' || field || '"') > 0 or pg_catalog.strpos(document::text, '\u00') > 0
$$;

comment on function pyengine._may_have_field is 'Whether a json document may have a field of this name.';
