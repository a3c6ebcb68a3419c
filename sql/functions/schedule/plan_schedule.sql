-- Store the next ticks of a schedule, or why they can't be computed; nothing if the schedule has changed meanwhile.
-- Locks: the schedule row. Returns whether it was stored.
create or replace function pyengine.plan_schedule(
    schedule_name text,
    revision int,
    known_until timestamptz,
    ticks text[] default '{}'::text[],
    planned_until timestamptz default null,
    error text default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_until timestamptz := coalesce(plan_schedule.planned_until, 'infinity');
    v_upcoming text[];
begin
    perform pyengine._check_ticks(plan_schedule.ticks);
    select s.upcoming || plan_schedule.ticks
    into v_upcoming
    from pyengine.schedules s
    where s.schedule_name = plan_schedule.schedule_name and s.revision = plan_schedule.revision
        and s.planned_until = plan_schedule.known_until
    for no key update;
    if not found then
        return false;
    elsif plan_schedule.error is not null then
        update pyengine.schedules s
        set error = left(plan_schedule.error, 1000), plan_at = v_now + interval '10 minutes'
        where s.schedule_name = plan_schedule.schedule_name;
        return true;
    end if;
    update pyengine.schedules s
    set upcoming = v_upcoming, next_due_at = v_upcoming[1]::timestamptz, planned_until = v_until,
        plan_at = pyengine._plan_at(cardinality(v_upcoming), v_until, v_now), error = null
    where s.schedule_name = plan_schedule.schedule_name;
    perform pyengine._prune_ticks(plan_schedule.schedule_name);
    return true;
end
$$;

comment on function pyengine.plan_schedule is 'Stores the next ticks of a schedule (ISO 8601 with offset, in order), complete up to planned_until (null: there will be no more), or why they can''t be computed. Role: worker.';
