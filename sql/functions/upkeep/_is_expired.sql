-- Whether a policy lets a workflow go: it has ended, and is too old or one too many.
create or replace function pyengine._is_expired(
    policy pyengine.retention_policies,
    status text,
    application_name text,
    created_at timestamptz,
    finished_at timestamptz,
    at timestamptz
)
returns boolean
language sql
stable
as $$
    select finished_at is not null and coalesce(application_name, '') = (policy).application_name
        and (created_at < (policy).keep_from
            or finished_at < at - case status
                when 'SUCCESS' then (policy).success_age
                when 'ERROR' then (policy).error_age
                when 'CANCELLED' then (policy).cancelled_age
                else (policy).dead_letter_age end) is true
$$;

comment on function pyengine._is_expired is 'Whether a retention policy lets a workflow go.';
