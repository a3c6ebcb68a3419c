-- The latest version of an application; nulls when no process of it has ever been seen. In PL/pgSQL, because its plan is
-- kept: a claim may ask for each workflow.
create or replace function pyengine._latest_version(application_name text)
returns pyengine.application_versions
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_latest pyengine.application_versions;
begin
    select v.*
    into v_latest
    from pyengine.application_versions v
    where v.application_name = _latest_version.application_name
    order by v.version_timestamp desc, v.version_name
    limit 1;
    return v_latest;
end
$$;

comment on function pyengine._latest_version is 'The latest version of an application.';
