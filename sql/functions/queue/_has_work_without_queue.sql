-- Whether there is work without a queue that an executor may run, from its bookmark on.
create or replace function pyengine._has_work_without_queue(executor pyengine.executors)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    v_began_at timestamptz := pyengine.now();
    v_place pyengine.bookmarks := pyengine._bookmark((_has_work_without_queue.executor).executor_id, '');
    v_is_found boolean := exists (
        select 1
        from pyengine._stretches(v_place) s
        cross join lateral (
            select 1
            from pyengine.workflows w
            where w.status = 'ENQUEUED' and w.queue_name is null and w.partition_key is null
                and (w.priority, w.created_at, w.workflow_id) > (s.priority, s.created_at, s.workflow_id)
                and w.priority <= s.last_priority
                and pyengine._may_run(_has_work_without_queue.executor, w.application_name, w.application_version,
                    w.version_is_pinned, w.name, w.class_name, w.config_name)
            order by w.priority, w.created_at, w.workflow_id
            limit 1
        ) k
    );
begin
    if not v_is_found and pyengine.now() - v_began_at > interval '3 milliseconds' then
        perform pyengine._set_bookmark(v_place, null, true, v_began_at);
    end if;
    return v_is_found;
end
$$;

comment on function pyengine._has_work_without_queue is 'Whether there is work without a queue that an executor may run.';
