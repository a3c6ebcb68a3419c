-- Change some properties of a queue: a json object with the names of register_queue's parameters; null removes a limit.
-- Locks: the queue row.
create or replace function pyengine.change_queue(queue_name text, changes json)
returns setof pyengine.queues
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_queue pyengine.queues;
    v_new record;
begin
    perform pyengine._check_changes(change_queue.changes);
    select q.* into v_queue from pyengine.queues q where q.queue_name = change_queue.queue_name for no key update;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no queue %s: register it first', change_queue.queue_name);
    end if;
    select r.*
    into v_new
    from json_to_record(change_queue.changes) as r (
        worker_concurrency int, concurrency int, partition_concurrency int, partition_worker_concurrency int,
        limiter_limit int, limiter_period_seconds double precision,
        partition_limiter_limit int, partition_limiter_period_seconds double precision,
        polling_interval_seconds double precision, max_depth int
    );
    return query
    select r.*
    from pyengine.register_queue(
        queue_name => v_queue.queue_name,
        application_name => v_queue.application_name,
        worker_concurrency => case when change_queue.changes -> 'worker_concurrency' is null
            then v_queue.worker_concurrency else v_new.worker_concurrency end,
        concurrency => case when change_queue.changes -> 'concurrency' is null
            then v_queue.concurrency else v_new.concurrency end,
        partition_concurrency => case when change_queue.changes -> 'partition_concurrency' is null
            then v_queue.partition_concurrency else v_new.partition_concurrency end,
        partition_worker_concurrency => case when change_queue.changes -> 'partition_worker_concurrency' is null
            then v_queue.partition_worker_concurrency else v_new.partition_worker_concurrency end,
        limiter_limit => case when change_queue.changes -> 'limiter_limit' is null
            then v_queue.limiter_limit else v_new.limiter_limit end,
        limiter_period_seconds => case when change_queue.changes -> 'limiter_period_seconds' is null
            then extract(epoch from v_queue.limiter_period) else v_new.limiter_period_seconds end,
        partition_limiter_limit => case when change_queue.changes -> 'partition_limiter_limit' is null
            then v_queue.partition_limiter_limit else v_new.partition_limiter_limit end,
        partition_limiter_period_seconds => case when change_queue.changes -> 'partition_limiter_period_seconds' is null
            then extract(epoch from v_queue.partition_limiter_period) else v_new.partition_limiter_period_seconds end,
        polling_interval_seconds => case when change_queue.changes -> 'polling_interval_seconds' is null
            then extract(epoch from v_queue.polling_interval) else v_new.polling_interval_seconds end,
        max_depth => case when change_queue.changes -> 'max_depth' is null then v_queue.max_depth else v_new.max_depth end
    ) r;
end
$$;

comment on function pyengine.change_queue is 'Changes the named properties of a queue (a json object; null removes a limit) and returns it. Role: client.';
