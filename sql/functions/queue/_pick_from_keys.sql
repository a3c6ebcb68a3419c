-- Choose and lock claimable workflows of a queue key by key, each key within its limits, beginning behind the key
-- that was looked at last: every key has its turn, and the cost grows with the keys looked at, not with the backlog.
-- The caller holds the queue's lock. Locks: the workflow rows (no key update, skipping locked ones).
--
-- Each step jumps to the next key in the index, and from the last one back to the first. It looks at no more keys than
-- it needs, and at most at 2000; the next round goes on from there.
create or replace function pyengine._pick_from_keys(
    queue pyengine.queues,
    executor pyengine.executors,
    pick_limit int
)
returns pyengine.key_round
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_sort = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_queue pyengine.queues := _pick_from_keys.queue;
    v_serial_only boolean := not pyengine._is_partitioned(v_queue);
    v_is_wrapped boolean := v_queue.partition_cursor is null;
    v_round pyengine.key_round := row('{}', '{}', v_queue.partition_cursor);
    v_key text;
    v_picked text[];
begin
    for v_visit in 1 .. 2000 loop
        exit when cardinality(v_round.workflow_ids) >= _pick_from_keys.pick_limit;
        select min(w.partition_key)
        into v_key
        from pyengine.workflows w
        where w.status = 'ENQUEUED' and w.queue_name = v_queue.queue_name and w.partition_key > v_round.last_key;
        if v_key is null and not v_is_wrapped or v_round.last_key is null then
            v_is_wrapped := true;
            select min(w.partition_key)
            into v_key
            from pyengine.workflows w
            where w.status = 'ENQUEUED' and w.queue_name = v_queue.queue_name and w.partition_key is not null;
        end if;
        exit when v_key is null or v_is_wrapped and v_key > v_queue.partition_cursor;
        v_round.last_key := v_key;

        v_picked := array(
            select w.workflow_id
            from pyengine.workflows w
            where w.status = 'ENQUEUED' and w.queue_name = v_queue.queue_name and w.partition_key = v_key
                and (w.is_serial or not v_serial_only)
                and pyengine._may_run(_pick_from_keys.executor, w.application_name, w.application_version,
                    w.version_is_pinned, w.name, w.class_name, w.config_name)
            order by w.priority, w.created_at, w.workflow_id
            limit greatest(least(
                pyengine._key_room(v_queue, _pick_from_keys.executor, v_key, v_serial_only),
                _pick_from_keys.pick_limit - cardinality(v_round.workflow_ids)), 0)
            for no key update skip locked
        );
        v_round.workflow_ids := v_round.workflow_ids || v_picked;
        v_round.partition_keys := v_round.partition_keys || array_fill(v_key, array[cardinality(v_picked)]);
    end loop;
    return v_round;
end
$$;

comment on function pyengine._pick_from_keys is 'Chooses and locks claimable workflows of a queue key by key, each key within its limits.';
