-- No queue runs more than it may. A run counts against the limits that held when it began: after a limit was made
-- smaller, more may run until they have ended.
create or replace function pyengine._verify_limits()
returns setof pyengine.violation
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return query
    with running as (
        select w.queue_name, w.workflow_id, w.started_at, w.partition_key, w.is_serial, w.executor_id,
            row_number() over (partition by w.queue_name order by w.started_at, w.workflow_id) as place,
            row_number() over (partition by w.queue_name, w.partition_key order by w.started_at, w.workflow_id) as key_place,
            row_number() over (partition by w.queue_name, w.executor_id order by w.started_at, w.workflow_id) as worker_place,
            count(*) filter (where w.is_serial)
                over (partition by w.queue_name, w.partition_key order by w.started_at, w.workflow_id) as serial_place
        from pyengine.workflows w
        where w.status = 'PENDING' and w.queue_name is not null
    )
    select f.invariant, r.workflow_id::text,
        format('it is number %s that runs of queue %s, which may run %s', f.place, r.queue_name, f.allowed)
    from running r
    join pyengine.queues q on q.queue_name = r.queue_name
    cross join lateral (values
        ('concurrency of a queue', r.place, q.concurrency),
        ('concurrency of a partition key', case when r.partition_key is not null then r.key_place end, q.partition_concurrency),
        ('concurrency in a process', case when r.executor_id is not null then r.worker_place end, q.worker_concurrency),
        ('one at a time', case when r.is_serial then r.serial_place end, 1)
    ) f (invariant, place, allowed)
    where f.place > f.allowed and r.started_at > q.updated_at;

    return query
    select 'deduplication ids are let go', w.workflow_id::text, format('it is %s and still holds %s', w.status, w.deduplication_id)
    from pyengine.workflows w
    where w.deduplication_id is not null and w.finished_at is not null;
end
$$;

comment on function pyengine._verify_limits is 'Violations of the limits of queues.';
