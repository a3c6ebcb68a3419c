-- Fire what is due of a schedule, as it says for ticks that nobody fired in time. Returns how many workflows started.
-- The caller holds the schedule's row. Locks: as _fire_ticks.
--
-- A tick is missed when it is older than the grace. Under last the newest of the missed ticks runs, unless one is due
-- in time, and only once the ticks up to now are known. At most 100 ticks are fired at a time; the rest stays due.
create or replace function pyengine._fire_schedule(schedule pyengine.schedules)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_schedule pyengine.schedules := _fire_schedule.schedule;
    v_now timestamptz := pyengine.now();
    v_missed text[] := array(
        select u.tick from unnest(v_schedule.upcoming) u (tick)
        where u.tick::timestamptz < v_now - v_schedule.grace order by u.tick::timestamptz);
    v_due text[] := array(
        select u.tick from unnest(v_schedule.upcoming) u (tick)
        where u.tick::timestamptz between v_now - v_schedule.grace and v_now order by u.tick::timestamptz);
    v_rest text[] := array(
        select u.tick from unnest(v_schedule.upcoming) u (tick)
        where u.tick::timestamptz > v_now order by u.tick::timestamptz);
    v_last text := v_missed[cardinality(v_missed)];
    v_is_held boolean := false;
    v_started text[];
begin
    if v_schedule.catch_up = 'all' then
        v_due := v_missed || v_due;
        v_last := null;
    elsif v_schedule.catch_up = 'last' and v_last is not null and v_due = '{}' then
        v_is_held := v_schedule.planned_until < v_now;
        v_due := array[v_last];
        v_last := v_missed[cardinality(v_missed) - 1];
    end if;
    if v_is_held then
        v_rest := v_due;
        v_due := '{}';
    else
        v_rest := v_due[101:] || v_rest;
        v_due := v_due[1:100];
    end if;

    v_started := pyengine._fire_ticks(v_schedule, v_due, true);
    update pyengine.schedules s
    set upcoming = v_rest,
        next_due_at = case when not v_is_held then v_rest[1]::timestamptz end,
        plan_at = case when s.error is not null then s.plan_at
            when v_is_held then v_now
            else pyengine._plan_at(cardinality(v_rest), s.planned_until, v_now) end,
        last_fired_at = coalesce(v_due[cardinality(v_due)]::timestamptz, s.last_fired_at),
        last_missed_at = coalesce(v_last::timestamptz, s.last_missed_at)
    where s.schedule_name = v_schedule.schedule_name;
    return cardinality(v_started);
end
$$;

comment on function pyengine._fire_schedule is 'Fires what is due of a schedule; returns how many workflows were started.';
