-- Log the starts that rate limits count, one row for each claim and limit, and remove what no window reaches any more.
create or replace function pyengine._log_starts(queue pyengine.queues, partition_keys text[], start_count int)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
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
        delete from pyengine.queue_starts s
        where s.queue_name = v_queue.queue_name and s.partition_key is null
            and s.started_at <= v_now - v_queue.limiter_period;
    end if;
    if v_queue.partition_limiter_limit is not null then
        insert into pyengine.queue_starts (queue_name, partition_key, started_at, start_count)
        select v_queue.queue_name, p.partition_key, v_now, count(*)
        from unnest(_log_starts.partition_keys) p (partition_key)
        group by p.partition_key;
        delete from pyengine.queue_starts s
        using unnest(_log_starts.partition_keys) p (partition_key)
        where s.queue_name = v_queue.queue_name and s.partition_key = p.partition_key
            and s.started_at <= v_now - v_queue.partition_limiter_period;
    end if;
    update pyengine.queues q set last_started_at = v_now where q.queue_name = v_queue.queue_name;
end
$$;

comment on function pyengine._log_starts is 'Logs the starts that rate limits count.';
