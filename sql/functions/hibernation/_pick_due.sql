-- Choose and lock hibernated workflows of a queue (null: without a queue) that are due, the longest due first.
-- They have their places under the global and partition limits, and a resumption is no start that rate limits count:
-- only the limits of a process hold them up. The caller holds the queue's lock if it has limits.
-- Locks: the workflow rows (no key update, skipping locked ones).
create or replace function pyengine._pick_due(queue pyengine.queues, executor pyengine.executors, pick_limit int)
returns text[]
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_executor pyengine.executors := _pick_due.executor;
    v_queue_name text := coalesce((_pick_due.queue).queue_name, '');
    v_key_limit int := (_pick_due.queue).partition_worker_concurrency;
    v_room int := _pick_due.pick_limit;
    v_now timestamptz := pyengine.now();
    v_due record;
    v_keys text[] := '{}'::text[];
    v_picked text[] := '{}'::text[];
begin
    if (_pick_due.queue).worker_concurrency is not null then
        v_room := least(v_room,
            (_pick_due.queue).worker_concurrency - pyengine._running_in(v_executor.executor_id, v_queue_name));
    end if;
    for v_due in
        select w.workflow_id, w.partition_key
        from (
            select h.workflow_id
            from pyengine.hibernations h
            where h.queue_name = v_queue_name and h.due_at <= v_now
            order by h.due_at
        ) h
        cross join lateral (
            select o.workflow_id, o.partition_key
            from pyengine.workflows o
            where o.workflow_id = h.workflow_id and o.status = 'PENDING' and o.lease_token is null
                and pyengine._may_run(v_executor, o.application_name, o.application_version,
                    o.version_is_pinned, o.name, o.class_name, o.config_name)
            for no key update skip locked
        ) w
    loop
        exit when cardinality(v_picked) >= v_room;
        continue when v_due.workflow_id = any (v_picked);
        if v_key_limit is not null and v_due.partition_key is not null then
            continue when pyengine._running_in(v_executor.executor_id, v_queue_name, v_due.partition_key)
                + cardinality(array_positions(v_keys, v_due.partition_key)) >= v_key_limit;
            v_keys := v_keys || v_due.partition_key;
        end if;
        v_picked := v_picked || v_due.workflow_id::text;
    end loop;
    return v_picked;
end
$$;

comment on function pyengine._pick_due is 'Chooses and locks hibernated workflows of a queue that are due.';
