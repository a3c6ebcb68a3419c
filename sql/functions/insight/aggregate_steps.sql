-- Counts and durations of the recorded steps of the workflows that match a condition, by the workflow's name and the
-- step's, the most frequent first. It reads all of these workflows and steps: bound the condition in time when the
-- history is long.
create or replace function pyengine.aggregate_steps(condition json default null, row_limit int default 1000)
returns setof pyengine.step_aggregate
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
    return query execute format(
        'select w.name, s.name, count(*), count(*) filter (where s.error is not null), '
        'percentile_cont(array[0.5, 0.95, 0.99]::double precision[]) within group '
        '(order by extract(epoch from s.completed_at - s.started_at)::double precision) '
        'from %1$s w join %2$s s on s.workflow_id = w.workflow_id where %3$s '
        'group by w.name, s.name order by 3 desc, 1, 2 limit %4$L',
        pg_typeof(null::pyengine.workflows), pg_typeof(null::pyengine.steps),
        pyengine._narrowed_sql(pyengine._conjuncts(aggregate_steps.condition)), aggregate_steps.row_limit);
end
$$;

comment on function pyengine.aggregate_steps is 'Counts, failures and durations of the steps of the workflows that match a condition, by the names of workflow and step. Role: observer.';
