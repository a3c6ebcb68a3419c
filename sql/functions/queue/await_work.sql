-- A process found nothing to claim: register it as waiting for work, and say when the next timer is due.
-- Whoever waits claims once more afterwards: an enqueue may have looked just before this committed.
--
-- Hibernated workflows are looked at 20 ms after they are due, so that those that follow each other closely share a
-- claim. What was due before the last claim is not looked at again: this process can't run it, or not yet.
create or replace function pyengine.await_work(executor_id bigint, channel text, queue_names text[] default null)
returns double precision
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := pyengine.now();
    v_executor pyengine.executors;
    v_due timestamptz;
    v_wake timestamptz;
begin
    select e.*
    into v_executor
    from pyengine.executors e
    where e.executor_id = await_work.executor_id;

    perform pyengine._await_keys(
        pyengine._work_keys(v_executor.application_name, await_work.queue_names), await_work.channel);

    select least(
        (select min(w.delayed_until) from pyengine.workflows w where w.status = 'DELAYED'),
        (select min(pyengine._window_opens_at(q))
         from pyengine._workable_queues(v_executor, await_work.queue_names) n
         join pyengine.queues q on q.queue_name = n.queue_name
         where num_nonnulls(q.limiter_limit, q.partition_limiter_limit) > 0 and not q.is_paused)
    )
    into v_due;
    select min(h.due_at) + interval '20 milliseconds'
    into v_wake
    from (
        select ''::text as queue_name
        union all
        select q.queue_name
        from pyengine.queues q
        where not q.is_paused and (q.application_name is null or q.application_name = v_executor.application_name)
            and (await_work.queue_names is null or q.queue_name = any (await_work.queue_names))
    ) n
    cross join lateral (
        select d.due_at
        from pyengine.hibernations d
        where d.queue_name = n.queue_name and d.due_at > v_now - interval '20 milliseconds'
        order by d.due_at
        limit 1
    ) h;
    return extract(epoch from least(v_due, v_wake) - v_now);
end
$$;

comment on function pyengine.await_work is 'Registers an idle process as waiting for work; returns the seconds until the next delayed or hibernated workflow or rate window, null if there is none. Role: worker.';
