-- Fire no ticks of a schedule until it is resumed.
-- Locks: the schedule row.
create or replace function pyengine.pause_schedule(schedule_name text)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    update pyengine.schedules s
    set status = 'PAUSED', updated_at = pyengine.now()
    where s.schedule_name = pause_schedule.schedule_name;
    return found;
end
$$;

comment on function pyengine.pause_schedule is 'Pauses a schedule; returns whether there is one of that name. Role: client.';
