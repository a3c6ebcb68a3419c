-- Choose and lock what a queue's limits allow to start now. The caller holds the queue's lock if it has limits or
-- serial work; without the lock serial work is left alone.
-- Starts under a rate limit are logged here, in the same transaction as the claim.
--
-- Work with and without keys takes turns at being served first, so that neither keeps the other out.
create or replace function pyengine._pick_from_queue(
    queue pyengine.queues,
    executor pyengine.executors,
    pick_limit int,
    is_locked boolean
)
returns text[]
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pyengine.queues := _pick_from_queue.queue;
    v_room int := least(_pick_from_queue.pick_limit, pyengine._queue_room(v_queue, _pick_from_queue.executor));
    v_is_partitioned boolean := pyengine._is_partitioned(v_queue);
    v_takes_turns boolean := _pick_from_queue.is_locked
        and (v_is_partitioned or pyengine._has_serial_work(v_queue.queue_name));
    v_round pyengine.key_round := row('{}', '{}', v_queue.partition_cursor);
    v_picked text[] := '{}'::text[];
begin
    if v_room <= 0 then
        return v_picked;
    end if;
    if v_takes_turns then
        -- Odd after even, also when the count of what runs has raised it in between.
        update pyengine.queues q
        set claim_count = q.claim_count + 1 + (q.claim_count - v_queue.claim_count) % 2
        where q.queue_name = v_queue.queue_name;
    end if;
    if v_queue.claim_count % 2 = 0 or not v_takes_turns then
        v_picked := pyengine._pick_from_order(
            v_queue.queue_name, _pick_from_queue.executor, v_room, v_is_partitioned);
    end if;
    if v_takes_turns and cardinality(v_picked) < v_room then
        v_round := pyengine._pick_from_keys(v_queue, _pick_from_queue.executor, v_room - cardinality(v_picked));
        v_picked := v_picked || v_round.workflow_ids;
        update pyengine.queues q set partition_cursor = v_round.last_key where q.queue_name = v_queue.queue_name;
    end if;
    if v_queue.claim_count % 2 = 1 and v_takes_turns and cardinality(v_picked) < v_room then
        v_picked := v_picked || pyengine._pick_from_order(
            v_queue.queue_name, _pick_from_queue.executor, v_room - cardinality(v_picked), v_is_partitioned);
    end if;
    perform pyengine._log_starts(v_queue, v_round.partition_keys, cardinality(v_picked));
    return v_picked;
end
$$;

comment on function pyengine._pick_from_queue is 'Chooses and locks the workflows of a queue that its limits allow to start now.';
