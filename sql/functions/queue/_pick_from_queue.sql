-- Choose and lock what a queue's limits allow to start now. The caller holds the queue's lock if it has limits.
-- Starts under a rate limit are logged here, in the same transaction as the claim.
create or replace function pyengine._pick_from_queue(
    queue pyengine.queues,
    executor pyengine.executors,
    pick_limit int
)
returns text[]
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_room int := least(_pick_from_queue.pick_limit, pyengine._queue_room(_pick_from_queue.queue, _pick_from_queue.executor));
    v_is_partitioned boolean := num_nonnulls((_pick_from_queue.queue).partition_concurrency,
        (_pick_from_queue.queue).partition_worker_concurrency, (_pick_from_queue.queue).partition_limiter_limit) > 0;
    v_keyed text[] := '{}';
    v_keys text[] := '{}';
    v_keyless text[] := '{}';
begin
    if v_room <= 0 then
        return '{}';
    end if;
    if v_is_partitioned or (_pick_from_queue.queue).has_serial_keys then
        select coalesce(array_agg(p.workflow_id), '{}'), coalesce(array_agg(p.partition_key), '{}')
        into v_keyed, v_keys
        from pyengine._pick_from_keys(_pick_from_queue.queue, _pick_from_queue.executor, v_room) p;
        if v_keys <> '{}' then
            update pyengine.queues q
            set partition_cursor = v_keys[cardinality(v_keys)]
            where q.queue_name = (_pick_from_queue.queue).queue_name;
        end if;
    end if;
    if cardinality(v_keyed) < v_room then
        v_keyless := pyengine._pick_from_order((_pick_from_queue.queue).queue_name, _pick_from_queue.executor,
            v_room - cardinality(v_keyed), v_is_partitioned);
    end if;
    perform pyengine._log_starts(_pick_from_queue.queue, v_keys, cardinality(v_keyed) + cardinality(v_keyless));
    return v_keyed || v_keyless;
end
$$;

comment on function pyengine._pick_from_queue is 'Chooses and locks the workflows of a queue that its limits allow to start now.';
