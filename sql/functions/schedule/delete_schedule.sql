-- Remove a schedule and what is known of its ticks; the workflows that it started stay.
-- Locks: the schedule row.
create or replace function pyengine.delete_schedule(schedule_name text)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_is_found boolean;
begin
    delete from pyengine.schedules s where s.schedule_name = delete_schedule.schedule_name;
    v_is_found := found;
    delete from pyengine.schedule_ticks t where t.schedule_name = delete_schedule.schedule_name;
    return v_is_found;
end
$$;

comment on function pyengine.delete_schedule is 'Removes a schedule; returns whether there was one. Its workflows stay. Role: client.';
