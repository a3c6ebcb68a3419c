-- Schedules whose next ticks are to be computed, for the caller to do it: nobody else gets them for half a minute.
-- What plan_schedule is given then is only what the expression says. Whether and when a tick is fired is decided here,
-- in the database. Locks: the schedule rows (in name order, skipping locked ones).
--
-- Under skip nobody wants to know what is missed already, so the ticks are computed from where they may still be fired.
create or replace function pyengine.claim_unplanned_schedules(executor_id bigint, row_limit int default 20)
returns setof pyengine.schedule_plan
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
begin
    return query
    with wanted as materialized (
        select s.schedule_name
        from pyengine.schedules s
        join pyengine.executors e on e.executor_id = claim_unplanned_schedules.executor_id
        where s.status = 'ACTIVE' and s.plan_at <= v_now
            and (s.application_name is null or s.application_name = e.application_name)
        order by s.schedule_name
        limit claim_unplanned_schedules.row_limit
        for no key update of s skip locked
    )
    update pyengine.schedules s
    set plan_at = v_now + interval '30 seconds', planner_id = claim_unplanned_schedules.executor_id
    from wanted w
    where s.schedule_name = w.schedule_name
    returning s.schedule_name::text, s.revision, s.schedule, s.cron_timezone, s.catch_up, s.planned_until,
        case when s.catch_up = 'skip' then greatest(s.planned_until, v_now - s.grace - interval '1 microsecond') else s.planned_until end, v_now;
end
$$;

comment on function pyengine.claim_unplanned_schedules is 'Schedules whose next ticks the caller is to compute and give to plan_schedule, within half a minute. Role: worker.';
