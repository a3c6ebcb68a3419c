-- Make a version of an application known; the first time that makes it the latest.
-- Locks: the name of the version (an advisory lock), the new row.
--
-- Two applications can't have a version of the same name, except the name of all that rely on patches instead.
create or replace function pyengine.register_application_version(
    application_name text,
    version_name text,
    is_pinned boolean default true
)
returns setof pyengine.application_versions
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_owner text;
begin
    if btrim(coalesce(register_application_version.version_name, '')) = ''
        or btrim(coalesce(register_application_version.application_name, '')) = '' then
        raise exception using errcode = 'PE400',
            message = 'version_name and application_name must not be null or blank';
    end if;
    -- Two applications that bring the same name at the same time don't see each other's row.
    perform pg_advisory_xact_lock(
        hashtextextended(format('version %s', register_application_version.version_name), 0));
    select v.application_name
    into v_owner
    from pyengine.application_versions v
    where v.version_name = register_application_version.version_name
        and v.application_name <> register_application_version.application_name
        and v.version_name <> 'PATCHING_ENABLED';
    if found then
        raise exception using errcode = 'PE409',
            message = format('version %s belongs to application %s: give this application another application_version',
                register_application_version.version_name, v_owner),
            detail = json_build_object('version_name', register_application_version.version_name)::text;
    end if;

    insert into pyengine.application_versions (
        version_name, version_id, application_name, is_pinned, version_timestamp, created_at
    ) values (
        register_application_version.version_name, gen_random_uuid(), register_application_version.application_name,
        coalesce(register_application_version.is_pinned, true), v_now, v_now
    )
    on conflict on constraint application_versions_pkey do nothing;

    return query
    select v.*
    from pyengine.application_versions v
    where v.version_name = register_application_version.version_name
        and v.application_name = register_application_version.application_name;
end
$$;

comment on function pyengine.register_application_version is 'Makes a version of an application known, the first time as its latest, and returns it; raises PE409 if another application has it. Role: worker.';
