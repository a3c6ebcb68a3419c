-- The retention policies, by application.
create or replace function pyengine.list_retention(application_name text default null)
returns setof pyengine.retention_policies
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select r.*
    from pyengine.retention_policies r
    where list_retention.application_name is null or r.application_name = list_retention.application_name
    order by r.application_name;
end
$$;

comment on function pyengine.list_retention is 'The retention policies of all applications, or of one. Role: observer.';
