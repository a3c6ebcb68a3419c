-- A schedule, or PE404.
create or replace function pyengine._find_schedule(schedule_name text)
returns pyengine.schedules
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_schedule pyengine.schedules;
begin
    select s.* into v_schedule from pyengine.schedules s where s.schedule_name = _find_schedule.schedule_name;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no schedule %s: create it first', _find_schedule.schedule_name);
    end if;
    return v_schedule;
end
$$;

comment on function pyengine._find_schedule is 'A schedule; raises PE404 if there is none of that name.';
