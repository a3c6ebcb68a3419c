-- The queues of an application that are not paused and have claimable work or hibernated workflows that are due, and
-- whether a limit holds for them.
create or replace function pyengine._workable_queues(application_name text, queue_names text[])
returns table (queue_name text, is_limited boolean)
language sql
stable
as $$
    select q.queue_name,
        pg_catalog.num_nonnulls(q.worker_concurrency, q.concurrency, q.partition_concurrency,
            q.partition_worker_concurrency, q.limiter_limit, q.partition_limiter_limit) > 0
        or exists (
            select 1 from pyengine.workflows w
            where w.status = 'ENQUEUED' and w.queue_name = q.queue_name and w.partition_key is not null and w.is_serial
        )
    from pyengine.queues q
    where not q.is_paused
        and (q.application_name is null or q.application_name = _workable_queues.application_name)
        and (_workable_queues.queue_names is null or q.queue_name = any (_workable_queues.queue_names))
        and (
            exists (
                select 1 from pyengine.workflows w
                where w.status = 'ENQUEUED' and w.queue_name = q.queue_name and w.partition_key is null
            )
            or exists (
                select 1 from pyengine.workflows w
                where w.status = 'ENQUEUED' and w.queue_name = q.queue_name and w.partition_key is not null
            )
            or exists (
                select 1 from pyengine.hibernations h
                where h.queue_name = q.queue_name and h.due_at <= (select pyengine.now())
            )
        )
$$;

comment on function pyengine._workable_queues is 'Queues of an application that have claimable work, and whether each is limited.';
