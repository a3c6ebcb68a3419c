-- Log the starts that rate limits count, one row for each claim and limit, and remove what no window reaches any more
-- (more than is added, so that keys that never come back leave nothing behind).
create or replace function pyengine._log_starts(queue pyengine.queues, partition_keys text[], start_count int)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_queue pyengine.queues := _log_starts.queue;
    v_now timestamptz := greatest(pyengine.now(), v_queue.last_started_at);
begin
    if _log_starts.start_count = 0 or num_nonnulls(v_queue.limiter_limit, v_queue.partition_limiter_limit) = 0 then
        return;
    end if;
    if v_queue.limiter_limit is not null then
        insert into pyengine.queue_starts (queue_name, partition_key, started_at, start_count)
        values (v_queue.queue_name, null, v_now, _log_starts.start_count);
    end if;
    if v_queue.partition_limiter_limit is not null then
        insert into pyengine.queue_starts (queue_name, partition_key, started_at, start_count)
        select v_queue.queue_name, p.partition_key, v_now, count(*)
        from unnest(_log_starts.partition_keys) p (partition_key)
        group by p.partition_key;
    end if;
    delete from pyengine.queue_starts s
    where s.ctid = any (array(
        select o.ctid
        from pyengine.queue_starts o
        where o.queue_name = v_queue.queue_name
            and o.started_at <= v_now - greatest(v_queue.limiter_period, v_queue.partition_limiter_period)
        order by o.started_at
        limit 1000
    ));
    update pyengine.queues q set last_started_at = v_now where q.queue_name = v_queue.queue_name;
end
$$;

comment on function pyengine._log_starts is 'Logs the starts that rate limits count.';
