-- Make a version the latest of its application: it runs what is bound to no version.
-- Locks: the row, then the bookmarks.
create or replace function pyengine.set_latest_application_version(version_name text, application_name text default null)
returns setof pyengine.application_versions
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return query
    update pyengine.application_versions v
    set version_timestamp = greatest(pyengine.now(),
        (pyengine._latest_version(v.application_name)).version_timestamp + interval '1 microsecond')
    where v.version_name = set_latest_application_version.version_name
        and (set_latest_application_version.application_name is null
            or v.application_name = set_latest_application_version.application_name)
    returning v.*;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no version %s: a version is known once a process of it was launched',
                set_latest_application_version.version_name);
    end if;
    perform pyengine._remove_bookmarks(array(select distinct b.wait_key from pyengine.bookmarks b));
    perform pyengine._wake(array[pyengine.wait_key('work', '')]);
end
$$;

comment on function pyengine.set_latest_application_version is 'Makes a version the latest of its application and returns it; raises PE404 if it is unknown. Role: client.';
