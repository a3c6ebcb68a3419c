-- The queues that an executor may claim from, are not paused, and have claimable work or hibernated workflows that are
-- due; and whether a limit holds for them. What lies before the executor's bookmark in a queue does not count.
--
-- Asked with `limit 1` rather than `exists`: that could become one hash of the whole backlog.
create or replace function pyengine._workable_queues(executor pyengine.executors, queue_names text[])
returns table (queue_name text, is_limited boolean)
language sql
stable
as $$
    select q.queue_name,
        pg_catalog.num_nonnulls(q.worker_concurrency, q.concurrency, q.partition_concurrency,
            q.partition_worker_concurrency, q.limiter_limit, q.partition_limiter_limit) > 0
        or (
            select true from pyengine.workflows w
            where w.status = 'ENQUEUED' and w.queue_name = q.queue_name and w.partition_key is not null and w.is_serial
            limit 1
        ) is not null
    from pyengine.queues q
    left join pyengine.bookmarks b on b.executor_id = (executor).executor_id and b.queue_name = q.queue_name
        and b.expires_at > (select pyengine.now())
    where not q.is_paused
        and (q.application_name is null or q.application_name = (executor).application_name)
        and (queue_names is null or q.queue_name = any (queue_names))
        and (
            (
                select true from pyengine.workflows w
                where w.status = 'ENQUEUED' and w.queue_name = q.queue_name and w.partition_key is null
                    and (w.priority, w.created_at, w.workflow_id) > (
                        coalesce(b.priority, -1), coalesce(b.created_at, '-infinity'), coalesce(b.workflow_id, ''))
                limit 1
            ) or (
                select true from pyengine.workflows w
                where w.status = 'ENQUEUED' and w.queue_name = q.queue_name and w.partition_key is null
                    and w.priority < b.priority
                limit 1
            ) or (
                select true from pyengine.workflows w
                where w.status = 'ENQUEUED' and w.queue_name = q.queue_name and w.partition_key is not null
                limit 1
            ) or (
                select true from pyengine.hibernations h
                where h.queue_name = q.queue_name and h.due_at <= (select pyengine.now())
                limit 1
            )
        )
$$;

comment on function pyengine._workable_queues is 'Queues that have claimable work for an executor, and whether each is limited.';
