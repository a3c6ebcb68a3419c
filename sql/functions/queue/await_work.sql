-- A process found nothing to claim: register it as waiting for work, and say when the next timer is due.
-- Whoever waits claims once more afterwards: an enqueue may have looked just before this committed.
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
as $$
declare
    v_now timestamptz := pyengine.now();
    v_application_name text;
    v_due timestamptz;
begin
    select e.application_name
    into v_application_name
    from pyengine.executors e
    where e.executor_id = await_work.executor_id;

    perform pyengine._await_keys(
        pyengine._work_keys(v_application_name, await_work.queue_names), await_work.channel);

    select least(
        (select min(w.delayed_until) from pyengine.workflows w where w.status = 'DELAYED'),
        (select min(pyengine._window_opens_at(q))
         from pyengine._workable_queues(v_application_name, await_work.queue_names) n
         join pyengine.queues q on q.queue_name = n.queue_name
         where num_nonnulls(q.limiter_limit, q.partition_limiter_limit) > 0 and not q.is_paused)
    )
    into v_due;
    return extract(epoch from v_due - v_now);
end
$$;

comment on function pyengine.await_work is 'Registers an idle process as waiting for work; returns the seconds until the next delayed workflow or rate window, null if there is none. Role: worker.';
