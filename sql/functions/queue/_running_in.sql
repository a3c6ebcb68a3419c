-- How many workflows of a queue (or of one of its partitions) run in an executor.
create or replace function pyengine._running_in(executor_id bigint, queue_name text, partition_key text default null)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    if _running_in.partition_key is null then
        return (
            select count(*) from pyengine.workflows w
            where w.status = 'PENDING' and w.executor_id = _running_in.executor_id
                and w.queue_name = _running_in.queue_name
        );
    end if;
    return (
        select count(*) from pyengine.workflows w
        where w.status = 'PENDING' and w.queue_name = _running_in.queue_name
            and w.partition_key = _running_in.partition_key and w.executor_id = _running_in.executor_id
    );
end
$$;

comment on function pyengine._running_in is 'How many workflows of a queue, or of one of its partitions, run in an executor.';
