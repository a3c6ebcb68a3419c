-- Choose and lock claimable workflows of a queue key by key, each key within its limits, beginning behind the key
-- that was served last: every key has its turn, and the cost grows with the keys looked at, not with the backlog.
-- The caller holds the queue's lock. Locks: the workflow rows (no key update, skipping locked ones).
--
-- A loose index scan: each step of the recursion jumps to the next key in the index. It looks at no more keys than
-- it needs, and at most at 2000; the next claim goes on from there.
create or replace function pyengine._pick_from_keys(
    queue pyengine.queues,
    executor pyengine.executors,
    pick_limit int
)
returns setof pyengine.pick
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_sort = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_queue_name text := (_pick_from_keys.queue).queue_name;
    v_serial_only boolean := num_nonnulls((_pick_from_keys.queue).partition_concurrency,
        (_pick_from_keys.queue).partition_worker_concurrency, (_pick_from_keys.queue).partition_limiter_limit) = 0;
    v_cursor text := coalesce((_pick_from_keys.queue).partition_cursor, '');
begin
    return query
    with recursive visited (partition_key, is_wrapped, visit) as (
        select n.partition_key, n.is_wrapped, 1
        from pyengine._next_key(v_queue_name, v_cursor, false, v_cursor) n
        union all
        select n.partition_key, n.is_wrapped, v.visit + 1
        from visited v
        cross join lateral pyengine._next_key(v_queue_name, v.partition_key, v.is_wrapped, v_cursor) n
        where v.visit < 2000
    )
    select p.workflow_id, v.partition_key
    from visited v
    cross join lateral (
        select pyengine._key_room(_pick_from_keys.queue, _pick_from_keys.executor, v.partition_key, v_serial_only) as room
    ) r
    cross join lateral (
        select w.workflow_id
        from pyengine.workflows w
        where w.status = 'ENQUEUED' and w.queue_name = v_queue_name and w.partition_key = v.partition_key
            and (w.is_serial or not v_serial_only)
            and pyengine._may_run(_pick_from_keys.executor, w.application_name, w.application_version,
                w.version_is_pinned, w.name, w.class_name, w.config_name)
        order by w.priority, w.created_at, w.workflow_id
        limit greatest(least(r.room, _pick_from_keys.pick_limit), 0)
        for no key update skip locked
    ) p
    limit _pick_from_keys.pick_limit;
end
$$;

comment on function pyengine._pick_from_keys is 'Chooses and locks claimable workflows of a queue key by key, each key within its limits.';
