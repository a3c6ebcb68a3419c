-- Fire the ticks of a paused schedule again. What became due meanwhile is missed: its catch_up says what happens to it.
-- Locks: the schedule row.
create or replace function pyengine.resume_schedule(schedule_name text)
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
    v_schedule pyengine.schedules;
    v_upcoming text[];
begin
    select s.* into v_schedule
    from pyengine.schedules s where s.schedule_name = resume_schedule.schedule_name for no key update;
    if not found or v_schedule.status = 'ACTIVE' then
        return found;
    end if;
    v_upcoming := case when v_schedule.catch_up = 'skip'
        then array(select u.tick from unnest(v_schedule.upcoming) u (tick) where u.tick::timestamptz > v_now)
        else v_schedule.upcoming end;
    update pyengine.schedules s
    set status = 'ACTIVE', upcoming = v_upcoming, next_due_at = v_upcoming[1]::timestamptz,
        planned_until = case when v_schedule.catch_up = 'skip'
            then greatest(v_schedule.planned_until, v_now) else v_schedule.planned_until end,
        plan_at = v_now, error = null, updated_at = v_now
    where s.schedule_name = v_schedule.schedule_name;
    return true;
end
$$;

comment on function pyengine.resume_schedule is 'Resumes a schedule; returns whether there is one of that name. Role: client.';
