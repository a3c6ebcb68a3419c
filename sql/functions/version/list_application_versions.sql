-- The versions of an application, or of all, the latest first.
create or replace function pyengine.list_application_versions(application_name text default null)
returns setof pyengine.application_versions
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select v.*
    from pyengine.application_versions v
    where list_application_versions.application_name is null
        or v.application_name = list_application_versions.application_name
    order by v.version_timestamp desc, v.version_name;
end
$$;

comment on function pyengine.list_application_versions is 'Versions of an application or of all, the latest first. Role: observer.';
