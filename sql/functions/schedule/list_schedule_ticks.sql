-- The ticks of a schedule that were fired, the newest first.
create or replace function pyengine.list_schedule_ticks(schedule_name text, row_limit int default 100)
returns setof pyengine.schedule_ticks
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return query
    select t.*
    from pyengine.schedule_ticks t
    where t.schedule_name = list_schedule_ticks.schedule_name
    order by t.tick_at desc
    limit list_schedule_ticks.row_limit;
end
$$;

comment on function pyengine.list_schedule_ticks is 'The fired ticks of a schedule, the newest first. Role: observer.';
