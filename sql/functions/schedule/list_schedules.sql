-- Schedules that match all filters, by name. A filter that is null filters nothing.
create or replace function pyengine.list_schedules(
    schedule_names text[] default null,
    statuses text[] default null,
    workflow_names text[] default null,
    name_prefixes text[] default null,
    application_names text[] default null
)
returns setof pyengine.schedules
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select s.*
    from pyengine.schedules s
    where (list_schedules.schedule_names is null or s.schedule_name = any (list_schedules.schedule_names))
        and (list_schedules.statuses is null or s.status = any (list_schedules.statuses))
        and (list_schedules.workflow_names is null or s.workflow_name = any (list_schedules.workflow_names))
        and (list_schedules.name_prefixes is null or exists (
            select 1 from unnest(list_schedules.name_prefixes) p (prefix)
            where starts_with(s.schedule_name, p.prefix)))
        and (list_schedules.application_names is null or s.application_name is null
            or s.application_name = any (list_schedules.application_names))
    order by s.schedule_name;
end
$$;

comment on function pyengine.list_schedules is 'Schedules that match all filters (null filters nothing, of a list any element matches), by name. Role: observer.';
