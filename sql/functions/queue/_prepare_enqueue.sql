-- Before workflows are enqueued: find those that would make their queues too deep, and those that are throttled.
-- Locks: the rows of queues with a depth limit (in name order), so that no two enqueues count the same room; then the
-- throttle keys.
create or replace function pyengine._prepare_enqueue(requests json)
returns int[]
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
    v_queue_name text;
    v_max_depth int;
    v_full_items int[] := '{}'::int[];
begin
    for v_queue_name in
        select q.queue_name
        from pyengine.queues q
        where q.max_depth is not null
            and q.queue_name in (select s.queue_name from pyengine._start_requests(_prepare_enqueue.requests) s)
        order by q.queue_name
    loop
        update pyengine.queues q
        set claim_count = q.claim_count + 1
        where q.queue_name = v_queue_name
        returning q.max_depth into v_max_depth;
        if v_max_depth is not null then
            v_full_items := v_full_items || array(
                select s.item
                from pyengine._start_requests(_prepare_enqueue.requests) s
                where s.queue_name = v_queue_name and s.refusal is null and not exists (
                    select 1 from pyengine.workflows w where w.workflow_id = s.workflow_id
                )
                order by s.item
                offset greatest(v_max_depth - pyengine._depth(v_queue_name, v_max_depth), 0)
            );
        end if;
    end loop;
    if pyengine._may_have_field(_prepare_enqueue.requests, 'throttle_key') then
        v_full_items := v_full_items || pyengine._throttled_items(_prepare_enqueue.requests);
    end if;
    return v_full_items;
end
$$;

comment on function pyengine._prepare_enqueue is 'Returns the requests that would make their queues too deep, or are throttled.';
