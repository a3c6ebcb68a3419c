-- The latest version of an application; nulls when no process of it has ever been seen.
create or replace function pyengine._latest_version(application_name text)
returns pyengine.application_versions
language sql
stable
as $$
    select v
    from pyengine.application_versions v
    where v.application_name = _latest_version.application_name
    order by v.version_timestamp desc, v.version_name
    limit 1
$$;

comment on function pyengine._latest_version is 'The latest version of an application.';
