-- Counts, ages and durations of the workflows that match a condition, by the columns of group_by, the largest groups
-- first. minute, hour and day group by the time of creation. It reads all workflows that match: bound the condition in
-- time when the history is long.
create or replace function pyengine.aggregate_workflows(
    group_by text[] default '{status}',
    condition json default null,
    row_limit int default 1000
)
returns setof pyengine.workflow_aggregate
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    v_groups text[];
begin
    select array_agg(format('%L, %s', g.name, case
        when g.name in ('minute', 'hour', 'day') then format('date_trunc(%L, w.created_at)', g.name)
        when g.name in ('status', 'name', 'class_name', 'config_name', 'queue_name', 'partition_key', 'executor_name',
            'application_name', 'application_version', 'authenticated_user', 'schedule_name', 'parent_workflow_id')
        then format('w.%I', g.name) end) order by g.n)
    into v_groups
    from unnest(aggregate_workflows.group_by) with ordinality g (name, n);
    if v_groups is null or array_position(v_groups, null) is not null or exists (
        select 1 from unnest(v_groups) g where g like '%, '
    ) then
        raise exception using errcode = 'PE400',
            message = format('group_by is %s: use status, name, class_name, config_name, queue_name, partition_key, '
                || 'executor_name, application_name, application_version, authenticated_user, schedule_name, '
                || 'parent_workflow_id, minute, hour or day', coalesce(aggregate_workflows.group_by::text, 'null'));
    end if;
    return query execute format(
        'select (to_json(jsonb_build_object(%1$s))), count(*), min(w.created_at), max(w.created_at), '
        'percentile_cont(array[0.5, 0.95, 0.99]) within group (order by extract(epoch from w.started_at - w.created_at)), '
        'percentile_cont(array[0.5, 0.95, 0.99]) within group (order by extract(epoch from w.finished_at - w.started_at)) '
        'from %2$s w where %3$s group by jsonb_build_object(%1$s) order by 2 desc, 1::text limit %4$L',
        array_to_string(v_groups, ', '), pg_typeof(null::pyengine.workflows),
        pyengine._narrowed_sql(pyengine._conjuncts(aggregate_workflows.condition)), aggregate_workflows.row_limit);
end
$$;

comment on function pyengine.aggregate_workflows is 'Counts, ages and durations of the workflows that match a condition, by the columns of group_by (or minute, hour, day of creation). Role: observer.';
