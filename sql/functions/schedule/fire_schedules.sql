-- Fire one of the due schedules whose workflow an executor has. Returns the seconds after which the executor is to call
-- again: 0 when it fired one, so that it calls until nothing is due; null when it need not, because tick_executor finds
-- what nobody does. Locks: the schedule row (skipping locked ones: another process is at it), then as _fire_schedule.
--
-- One at a time, any of them, and not waiting for ever: so a schedule whose queue or workflow id is locked by somebody's
-- open transaction does not keep the others.
create or replace function pyengine.fire_schedules(executor_id bigint)
returns double precision
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set lock_timeout = '5s'
as $$
declare
    v_executor pyengine.executors;
    v_schedule pyengine.schedules;
    v_now timestamptz := pyengine.now();
    v_wait double precision;
begin
    select e.*
    into v_executor
    from pyengine.executors e
    where e.executor_id = fire_schedules.executor_id and e.finished_at is null;

    select s.*
    into v_schedule
    from pyengine.schedules s
    where s.status = 'ACTIVE' and s.next_due_at <= v_now
        and pyengine._may_fire(v_executor, s.application_name, s.workflow_name, s.workflow_class_name)
    order by random()
    limit 1
    for no key update skip locked;
    if found then
        perform pyengine._fire_schedule(v_schedule);
        return 0;
    end if;

    select extract(epoch from min(least(s.plan_at, case
        when pyengine._may_fire(v_executor, s.application_name, s.workflow_name, s.workflow_class_name)
        then s.next_due_at end)) - pyengine.now())
    into v_wait
    from pyengine.schedules s
    where s.status = 'ACTIVE' and s.planner_id = fire_schedules.executor_id;
    return case when v_wait <= 0 then 0.1 else v_wait end;
end
$$;

comment on function pyengine.fire_schedules is 'Fires one of the due schedules whose workflow an executor has; returns the seconds until the executor is to call again (0 when one was fired), null if it need not. Role: worker.';
