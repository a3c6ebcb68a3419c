-- Register a queue, or change it. on_conflict: always_update overwrites the limits, never_update leaves them,
-- update_if_latest_version overwrites them if application_version is the latest of the application.
-- Locks: the queue row.
create or replace function pyengine.register_queue(
    queue_name text,
    application_name text default null,
    worker_concurrency int default null,
    concurrency int default null,
    partition_concurrency int default null,
    partition_worker_concurrency int default null,
    limiter_limit int default null,
    limiter_period_seconds double precision default null,
    partition_limiter_limit int default null,
    partition_limiter_period_seconds double precision default null,
    polling_interval_seconds double precision default 1,
    max_depth int default null,
    on_conflict text default 'always_update',
    application_version text default null
)
returns setof pyengine.queues
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_owner text;
    v_updates boolean := pyengine._updates(
        register_queue.on_conflict, register_queue.application_name, register_queue.application_version);
begin
    perform pyengine._check_queue_name(register_queue.queue_name);
    perform pyengine._check_limits(
        register_queue.worker_concurrency, register_queue.concurrency, register_queue.partition_concurrency,
        register_queue.partition_worker_concurrency, register_queue.limiter_limit,
        register_queue.limiter_period_seconds, register_queue.partition_limiter_limit,
        register_queue.partition_limiter_period_seconds, register_queue.polling_interval_seconds,
        register_queue.max_depth);

    loop  -- the queue that is in the way may be deleted before it is locked
        insert into pyengine.queues (queue_name, application_name, created_at, updated_at)
        values (register_queue.queue_name, register_queue.application_name, v_now, v_now)
        on conflict on constraint queues_pkey do nothing;
        v_updates := v_updates or found;
        select q.application_name into v_owner
        from pyengine.queues q where q.queue_name = register_queue.queue_name for no key update;
        exit when found;
    end loop;
    if v_owner <> register_queue.application_name then
        raise exception using errcode = 'PE409',
            message = format('queue %s belongs to application %s', register_queue.queue_name, v_owner),
            detail = json_build_object('queue_name', register_queue.queue_name)::text;
    end if;
    if v_updates then
        update pyengine.queues q
        set worker_concurrency = register_queue.worker_concurrency,
            concurrency = register_queue.concurrency,
            partition_concurrency = register_queue.partition_concurrency,
            partition_worker_concurrency = register_queue.partition_worker_concurrency,
            limiter_limit = register_queue.limiter_limit,
            limiter_period = make_interval(secs => register_queue.limiter_period_seconds),
            partition_limiter_limit = register_queue.partition_limiter_limit,
            partition_limiter_period = make_interval(secs => register_queue.partition_limiter_period_seconds),
            polling_interval = make_interval(secs => register_queue.polling_interval_seconds),
            max_depth = register_queue.max_depth,
            application_name = coalesce(q.application_name, register_queue.application_name),
            updated_at = v_now
        where q.queue_name = register_queue.queue_name;
        -- The empty name too: who waits for work does not know a new queue yet.
        perform pyengine._wake(array[
            pyengine.wait_key('work', register_queue.queue_name), pyengine.wait_key('work', '')]);
    end if;
    return query select q.* from pyengine.queues q where q.queue_name = register_queue.queue_name;
end
$$;

comment on function pyengine.register_queue is 'Registers a queue with its limits (null is no limit), or changes it; all processes follow at their next claim. Role: client.';
