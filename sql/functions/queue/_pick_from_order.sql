-- Choose and lock claimable workflows of a queue (null: without a queue) by priority and age, whatever their keys.
-- Those that must be served key by key are left out: all that have a key, or the serial ones.
-- Locks: the workflow rows (no key update, skipping locked ones).
--
-- What has a key and what has none lie in two indexes, so that neither is read through to find the other. Both are read
-- in their order, never sorted: a plan that was made for a short queue is kept when the queue is long.
--
-- When that takes longer than what was picked explains, the front is full of entries that are dead or may not run here.
-- Then the executor notes how far it came, and for a while looks only behind that place, and at what is more urgent.
create or replace function pyengine._pick_from_order(
    queue_name text,
    executor pyengine.executors,
    pick_limit int,
    keyless_only boolean default false
)
returns text[]
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_began_at timestamptz := pyengine.now();
    v_place pyengine.bookmarks := pyengine._bookmark(
        (_pick_from_order.executor).executor_id, coalesce(_pick_from_order.queue_name, ''));
    v_picked text[];
begin
    if _pick_from_order.queue_name is null then
        v_picked := array(
            select k.workflow_id
            from pyengine._stretches(v_place) s
            cross join lateral (
                select w.workflow_id, w.priority, w.created_at
                from pyengine.workflows w
                where w.status = 'ENQUEUED' and w.queue_name is null and w.partition_key is null
                    and (w.priority, w.created_at, w.workflow_id) > (s.priority, s.created_at, s.workflow_id)
                    and w.priority <= s.last_priority
                    and pyengine._may_run(_pick_from_order.executor, w.application_name, w.application_version,
                        w.version_is_pinned, w.name, w.class_name, w.config_name)
                order by w.priority, w.created_at, w.workflow_id
                limit _pick_from_order.pick_limit
                for no key update skip locked
            ) k
            order by k.priority, k.created_at, k.workflow_id
            limit _pick_from_order.pick_limit
        );
    else
        v_picked := array(
            select c.workflow_id
            from pyengine._stretches(v_place) s
            cross join lateral (
                select k.* from (
                    select w.workflow_id, w.priority, w.created_at
                    from pyengine.workflows w
                    where w.status = 'ENQUEUED' and w.queue_name = _pick_from_order.queue_name
                        and w.partition_key is null
                        and (w.priority, w.created_at, w.workflow_id) > (s.priority, s.created_at, s.workflow_id)
                        and w.priority <= s.last_priority
                        and pyengine._may_run(_pick_from_order.executor, w.application_name, w.application_version,
                            w.version_is_pinned, w.name, w.class_name, w.config_name)
                    order by w.priority, w.created_at, w.workflow_id
                    limit _pick_from_order.pick_limit
                    for no key update skip locked
                ) k
                union all
                select k.* from (
                    select w.workflow_id, w.priority, w.created_at
                    from pyengine.workflows w
                    where w.status = 'ENQUEUED' and w.queue_name = _pick_from_order.queue_name
                        and w.partition_key is not null and not w.is_serial and not _pick_from_order.keyless_only
                        and (w.priority, w.created_at, w.workflow_id) > (s.priority, s.created_at, s.workflow_id)
                        and w.priority <= s.last_priority
                        and pyengine._may_run(_pick_from_order.executor, w.application_name, w.application_version,
                            w.version_is_pinned, w.name, w.class_name, w.config_name)
                    order by w.priority, w.created_at, w.workflow_id
                    limit _pick_from_order.pick_limit
                    for no key update skip locked
                ) k
            ) c
            order by c.priority, c.created_at, c.workflow_id
            limit _pick_from_order.pick_limit
        );
    end if;
    if _pick_from_order.pick_limit > 0
        and pyengine.now() - v_began_at > interval '0.4 milliseconds' + cardinality(v_picked) * interval '20 microseconds' then
        perform pyengine._set_bookmark(v_place, v_picked[cardinality(v_picked)],
            cardinality(v_picked) < _pick_from_order.pick_limit, v_began_at);
    end if;
    return v_picked;
end
$$;

comment on function pyengine._pick_from_order is 'Chooses and locks claimable workflows of a queue by priority and age.';
