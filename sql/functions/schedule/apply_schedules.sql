-- Create or change several schedules (a json array) in one transaction; others stay as they are.
-- on_conflict is as for register_queue. Locks: as _store_schedule, in the order of their names.
create or replace function pyengine.apply_schedules(
    schedules json,
    on_conflict text default 'always_update',
    application_version text default null
)
returns setof pyengine.schedules
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pyengine._store_schedule(d.value, apply_schedules.on_conflict, apply_schedules.application_version)
    from (
        select e.value
        from json_array_elements(apply_schedules.schedules) e
        order by e.value ->> 'schedule_name' collate "C"
    ) d;
    return query
    select s.*
    from pyengine.schedules s
    where s.schedule_name in (select e.value ->> 'schedule_name' from json_array_elements(apply_schedules.schedules) e)
    order by s.schedule_name;
end
$$;

comment on function pyengine.apply_schedules is 'Creates or changes a json array of schedules in one transaction and returns them; a schedule whose times do not change keeps its place. Role: client.';
