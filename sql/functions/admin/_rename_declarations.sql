-- Give what an application has declared to another name: its versions, workflows in SQL, retention policy, schedules and
-- queues. Where the new name has a version or a policy already, that one stays; the version as the later of the two.
-- Locks: the versions, the workflows in SQL and the executors that run them, the retention policies, the schedules and
-- the queues, each by name.
create or replace function pyengine._rename_declarations(old_name text, new_name text, adopt_unclaimed_rows boolean)
returns pyengine.renamed_rows
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_now timestamptz := pyengine.now();
    v_renamed pyengine.renamed_rows;
    v_name text;
begin
    perform 1
    from pyengine.application_versions v
    where v.application_name in (_rename_declarations.old_name, _rename_declarations.new_name)
    order by v.version_name, v.application_name
    for update;
    with taken as (
        delete from pyengine.application_versions v
        where v.application_name = _rename_declarations.old_name
        returning v.*
    ), given as (
        insert into pyengine.application_versions as a (
            version_name, version_id, application_name, is_pinned, version_timestamp, created_at
        )
        select t.version_name, t.version_id, _rename_declarations.new_name, t.is_pinned, t.version_timestamp, t.created_at
        from taken t
        on conflict on constraint application_versions_pkey do update
        set version_timestamp = greatest(a.version_timestamp, excluded.version_timestamp)
    )
    select count(*) into v_renamed.versions from taken t;

    for v_name in
        update pyengine.sql_workflows w
        set application_name = _rename_declarations.new_name
        where w.application_name = _rename_declarations.old_name
            or (w.application_name is null and _rename_declarations.adopt_unclaimed_rows)
        returning w.name
    loop
        perform pyengine._renew_sql_functions(v_name);
    end loop;

    with taken as (
        delete from pyengine.retention_policies r
        where r.application_name = _rename_declarations.old_name
        returning r.*
    )
    insert into pyengine.retention_policies (
        application_name, success_age, error_age, cancelled_age, dead_letter_age, keep_newest, next_at, updated_at
    )
    select _rename_declarations.new_name, t.success_age, t.error_age, t.cancelled_age, t.dead_letter_age, t.keep_newest,
        v_now, v_now
    from taken t
    on conflict on constraint retention_policies_pkey do nothing;

    perform 1
    from pyengine.schedules s
    where s.application_name = _rename_declarations.old_name
        or (s.application_name is null and _rename_declarations.adopt_unclaimed_rows)
    order by s.schedule_name
    for no key update;
    update pyengine.schedules s
    set application_name = _rename_declarations.new_name, updated_at = v_now
    where s.application_name = _rename_declarations.old_name
        or (s.application_name is null and _rename_declarations.adopt_unclaimed_rows);
    get diagnostics v_renamed.schedules = row_count;

    perform 1
    from pyengine.queues q
    where q.application_name = _rename_declarations.old_name
        or (q.application_name is null and _rename_declarations.adopt_unclaimed_rows)
    order by q.queue_name
    for no key update;
    update pyengine.queues q
    set application_name = _rename_declarations.new_name, updated_at = v_now
    where q.application_name = _rename_declarations.old_name
        or (q.application_name is null and _rename_declarations.adopt_unclaimed_rows);
    get diagnostics v_renamed.queues = row_count;
    return v_renamed;
end
$$;

comment on function pyengine._rename_declarations is 'Gives the versions, schedules, queues and policies of an application to another name.';
