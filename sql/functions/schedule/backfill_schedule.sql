-- Fire ticks of a schedule that are past, or to come, now; those that were fired already are left alone.
-- Returns the tick and the workflow of each. Locks: the schedule row, then as _fire_ticks.
create or replace function pyengine.backfill_schedule(schedule_name text, ticks text[])
returns setof pyengine.scheduled_start
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_schedule pyengine.schedules;
begin
    perform pyengine._check_ticks(backfill_schedule.ticks);
    perform 1 from pyengine.schedules s where s.schedule_name = backfill_schedule.schedule_name for no key update;
    v_schedule := pyengine._find_schedule(backfill_schedule.schedule_name);
    if exists (
        select 1 from unnest(backfill_schedule.ticks) t (tick) where t.tick::timestamptz <= v_schedule.ticks_known_from
    ) then
        raise exception using errcode = 'PE400',
            message = format('schedule %s can be backfilled after %s only: what ran before is not known any more',
                v_schedule.schedule_name, v_schedule.ticks_known_from);
    end if;
    delete from pyengine.schedule_ticks f
    using unnest(backfill_schedule.ticks) t (tick)
    where f.schedule_name = v_schedule.schedule_name and f.tick_at = t.tick::timestamptz and f.outcome <> 'started';
    perform pyengine._fire_ticks(v_schedule, backfill_schedule.ticks, false);
    return query
    select t.tick, f.workflow_id::text, case when f.outcome = 'refused' then 'PE429' end
    from unnest(backfill_schedule.ticks) with ordinality t (tick, position)
    join pyengine.schedule_ticks f on f.schedule_name = v_schedule.schedule_name and f.tick_at = t.tick::timestamptz
    order by t.position;
end
$$;

comment on function pyengine.backfill_schedule is 'Fires ticks (ISO 8601 with offset) of a schedule now, but none that was fired already, and returns the workflow of each; raises PE404 if there is no such schedule. Role: client.';
