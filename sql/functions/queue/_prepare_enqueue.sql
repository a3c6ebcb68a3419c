-- Before workflows are enqueued: mark queues that get serial keys, and find queues that would become too deep.
-- Locks: the rows of queues with a depth limit, and of those that are marked (in name order).
create or replace function pyengine._prepare_enqueue(requests json)
returns text[]
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    v_queue record;
    v_full text[] := '{}';
begin
    for v_queue in
        select q.queue_name, q.max_depth, r.wanted, r.is_serial and not q.has_serial_keys as is_new_serial
        from (
            select s.queue_name, count(*) as wanted, coalesce(bool_or(s.is_serial), false) as is_serial
            from pyengine._start_requests(_prepare_enqueue.requests) s
            where s.queue_name is not null
            group by s.queue_name
        ) r
        join pyengine.queues q on q.queue_name = r.queue_name
        where q.max_depth is not null or (r.is_serial and not q.has_serial_keys)
        order by q.queue_name
    loop
        update pyengine.queues q
        set has_serial_keys = q.has_serial_keys or v_queue.is_new_serial, claim_count = q.claim_count + 1
        where q.queue_name = v_queue.queue_name;
        if v_queue.max_depth is not null
            and pyengine._depth(v_queue.queue_name, v_queue.max_depth) + v_queue.wanted > v_queue.max_depth then
            v_full := v_full || v_queue.queue_name;
        end if;
    end loop;
    return v_full;
end
$$;

comment on function pyengine._prepare_enqueue is 'Marks queues that get serial keys, and returns those that the requests would make too deep.';
