-- How many workflows of a queue may start now in this executor. The caller holds the queue's lock if it has limits.
--
-- What runs is counted executor by executor, which needs no index by queue: a workflow that runs belongs to an
-- executor whose work is not returned, or hibernates and belongs to none.
--
-- Claims under the queue's lock have numbers that only grow. When counting takes long, over entries of the index that
-- are dead but can't be removed yet, the queue notes the first number that still runs: nothing smaller can come any
-- more, and later claims have greater numbers. It is never beyond the number of this claim: what runs may have its number from an earlier queue of that name.
-- What was claimed without the lock, while the queue had no limits, or woke up has no number and is always counted.
-- Locks: nothing but the queue's row again.
create or replace function pyengine._queue_room(queue pyengine.queues, executor pyengine.executors)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    v_began_at timestamptz := pyengine.now();
    v_running int;
    v_running_here int;
    v_first bigint;
    v_room int := 2147483647;
begin
    if num_nonnulls((_queue_room.queue).concurrency, (_queue_room.queue).worker_concurrency) > 0 then
        select coalesce(sum(r.running), 0),
            coalesce(sum(r.running) filter (where e.executor_id = (_queue_room.executor).executor_id), 0),
            min(r.first)
        into v_running, v_running_here, v_first
        from pyengine.executors e
        cross join lateral (
            select count(*) as running, min(w.claim_number) as first
            from pyengine.workflows w
            where w.status = 'PENDING' and w.executor_id = e.executor_id
                and w.queue_name = (_queue_room.queue).queue_name
                and w.claim_number >= (_queue_room.queue).counted_from
            union all
            select count(*), null
            from pyengine.workflows w
            where w.status = 'PENDING' and w.executor_id = e.executor_id
                and w.queue_name = (_queue_room.queue).queue_name and w.claim_number is null
        ) r
        where not e.work_is_returned;
        if pyengine.now() - v_began_at > interval '0.3 milliseconds' then
            update pyengine.queues q
            set counted_from = least(v_first, q.claim_count), claim_count = q.claim_count + 1
            where q.queue_name = (_queue_room.queue).queue_name and q.counted_from < least(v_first, q.claim_count);
        end if;
        if (_queue_room.queue).concurrency is not null then
            v_running := v_running + (
                select count(*) from pyengine.workflows w
                where w.status = 'PENDING' and w.executor_id is null
                    and w.queue_name = (_queue_room.queue).queue_name
            );
        end if;
        v_room := least((_queue_room.queue).concurrency - v_running,
            (_queue_room.queue).worker_concurrency - v_running_here);
    end if;
    if (_queue_room.queue).limiter_limit is not null then
        v_room := least(v_room, (_queue_room.queue).limiter_limit - pyengine._starts_in_window(
            (_queue_room.queue).queue_name, null, (_queue_room.queue).limiter_period,
            (_queue_room.queue).last_started_at));
    end if;
    return v_room;
end
$$;

comment on function pyengine._queue_room is 'How many workflows of a queue may start now in this executor.';
