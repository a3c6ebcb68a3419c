-- One maintenance tick of a process: heartbeat, reap the dead, and say whether there is work.
-- Locks: the own executor row; then dead executors (skipping locked ones) and their workflows, as _return_work; then its
-- bookmarks (skipping locked ones).
--
-- What hibernates and is due before the next tick counts as work: a process that went to sleep before another one put
-- it there looks at the timers again.
-- A schedule that is due is left to the executor that planned it for a quarter of a second: that one wakes up for it.
--
-- The commit need not be waited for: a tick that is lost in a crash of the server is repeated a second later.
create or replace function pyengine.tick_executor(
    executor_id bigint,
    session_pid int default null,
    heartbeat_seconds double precision default 3,
    queue_names text[] default null
)
returns setof pyengine.tick_result
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
    v_executor pyengine.executors;
    v_result pyengine.tick_result;
begin
    select e.*
    into v_executor
    from pyengine.executors e
    where e.executor_id = tick_executor.executor_id and e.finished_at is null;
    v_result.is_alive := found;

    if found and (
        v_executor.session_pid is distinct from tick_executor.session_pid
        or v_executor.heartbeat_at <= v_now - make_interval(secs => tick_executor.heartbeat_seconds)
    ) then
        perform set_config('synchronous_commit', 'off', true);
        update pyengine.executors e
        set heartbeat_at = v_now, session_pid = tick_executor.session_pid, session_lost_at = null,
            session_at = case
                when tick_executor.session_pid is null then null
                when e.session_pid = tick_executor.session_pid then e.session_at
                else v_now end
        where e.executor_id = tick_executor.executor_id and e.finished_at is null;
        v_result.is_alive := found;
        perform pyengine._prolong_waits(v_executor);
        perform pyengine._drop_expired_waits();
        perform pyengine._drop_stale_hibernations();
        select count(*) into v_result.running_workflows
        from pyengine.workflows w
        where w.executor_id = tick_executor.executor_id and w.status = 'PENDING';
    end if;

    v_result.reaped_executors := pyengine._reap_executors();
    v_result.requeued_workflows := pyengine._return_work();
    if v_result.is_alive then
        perform pyengine._review_bookmarks(v_executor);
    end if;
    v_result.claimable := v_result.is_alive and (
        pyengine._has_work_without_queue(v_executor)
        or exists (
            select 1
            from pyengine.hibernations h
            cross join lateral (
                select 1
                from pyengine.workflows w
                where w.workflow_id = h.workflow_id and w.status = 'PENDING' and w.lease_token is null
                    and pyengine._may_run(v_executor, w.application_name, w.application_version,
                        w.version_is_pinned, w.name, w.class_name, w.config_name)
                offset 0
            ) w
            where h.queue_name = '' and h.due_at <= v_now + interval '1 second'
        )
        or pyengine._has_work_in_queues(v_executor, tick_executor.queue_names)
        or exists (select 1 from pyengine.workflows w where w.status = 'DELAYED' and w.delayed_until <= v_now)
    );
    v_result.has_chores := pyengine._has_chores();
    v_result.has_due_schedules := v_result.is_alive and (
        exists (
            select 1
            from pyengine.schedules s
            where s.status = 'ACTIVE' and s.next_due_at <= v_now - interval '250 milliseconds'
                and pyengine._may_fire(v_executor, s.application_name, s.workflow_name, s.workflow_class_name)
        )
        or exists (
            select 1
            from pyengine.schedules s
            where s.status = 'ACTIVE' and s.plan_at <= v_now
                and (s.application_name is null or s.application_name = v_executor.application_name)
        )
    );
    return next v_result;
end
$$;

comment on function pyengine.tick_executor is 'One maintenance tick of a process: heartbeat, reaping of dead executors, and whether there is work to claim, a schedule to fire or to plan, or something to do for run_chores. queue_names restricts the queues. Role: worker.';
