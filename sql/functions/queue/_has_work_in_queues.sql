-- Whether the queues have work that an executor may run, or hibernated workflows that are due.
--
-- Only the first rows of each queue are asked whether it may run them: where there are more, it is for the claim to
-- look, which remembers how far it came. So the work of others that stays in a queue wakes nobody each second.
create or replace function pyengine._has_work_in_queues(executor pyengine.executors, queue_names text[])
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    v_most constant int := 200;
begin
    return exists (
        select 1
        from pyengine._workable_queues(_has_work_in_queues.executor, _has_work_in_queues.queue_names) n
        cross join lateral (
            select count(*) as looked_at,
                bool_or(pyengine._may_run(_has_work_in_queues.executor, w.application_name, w.application_version,
                    w.version_is_pinned, w.name, w.class_name, w.config_name)) as is_runnable
            from (
                (select k.* from pyengine.workflows k
                 where k.status = 'ENQUEUED' and k.queue_name = n.queue_name and k.partition_key is null
                 limit v_most)
                union all
                (select k.* from pyengine.workflows k
                 where k.status = 'ENQUEUED' and k.queue_name = n.queue_name and k.partition_key is not null
                 limit v_most)
            ) w
        ) f
        where f.is_runnable or f.looked_at >= v_most or exists (
            select 1 from pyengine.hibernations h where h.queue_name = n.queue_name and h.due_at <= pyengine.now()
        )
    );
end
$$;

comment on function pyengine._has_work_in_queues is 'Whether queues have work that an executor may run.';
