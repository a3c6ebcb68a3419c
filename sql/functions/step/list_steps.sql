-- The recorded steps of a workflow in order, as many as row_limit behind the first row_offset; with_outcome => false
-- leaves outputs and errors out, or only outputs with with_error => true.
create or replace function pyengine.list_steps(
    workflow_id text,
    with_outcome boolean default true,
    row_limit int default null,
    row_offset int default null,
    with_error boolean default null
)
returns setof pyengine.steps
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return query
    select s.workflow_id, s.step_id, s.name, s.attempt, s.child_workflow_id, s.started_at, s.completed_at,
        s.serialization,
        case when list_steps.with_outcome then s.output end,
        case when coalesce(list_steps.with_error, list_steps.with_outcome) then s.error end
    from pyengine.steps s
    where s.workflow_id = list_steps.workflow_id
    order by s.step_id
    limit list_steps.row_limit
    offset list_steps.row_offset;
end
$$;

comment on function pyengine.list_steps is 'The recorded steps of a workflow, in the order of their numbers. Role: observer.';
