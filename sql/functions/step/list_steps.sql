-- The recorded steps of a workflow in order.
create or replace function pyengine.list_steps(workflow_id text)
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
    select s.*
    from pyengine.steps s
    where s.workflow_id = list_steps.workflow_id
    order by s.step_id;
end
$$;

comment on function pyengine.list_steps is 'The recorded steps of a workflow, in the order of their numbers. Role: observer.';
