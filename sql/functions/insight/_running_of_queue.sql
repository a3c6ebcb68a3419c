-- What runs or hibernates of a queue and so holds its places, found executor by executor.
create or replace function pyengine._running_of_queue(queue_name text)
returns pyengine.workflows[]
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
begin
    return array(
        select w
        from (select e.executor_id from pyengine.executors e where not e.work_is_returned union all select null) o
        cross join lateral (
            select r from pyengine.workflows r
            where r.status = 'PENDING' and r.executor_id = o.executor_id and r.queue_name = _running_of_queue.queue_name
            union all
            select r from pyengine.workflows r
            where o.executor_id is null and r.status = 'PENDING' and r.executor_id is null
                and r.queue_name = _running_of_queue.queue_name
        ) w (w)
        limit 10000
    );
end
$$;

comment on function pyengine._running_of_queue is 'What runs or hibernates of a queue.';
