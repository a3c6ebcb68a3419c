-- The last values of all events of a workflow.
create or replace function pyengine.list_events(workflow_id text)
returns setof pyengine.events
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return query
    select e.* from pyengine.events e where e.workflow_id = list_events.workflow_id order by e.key;
end
$$;

comment on function pyengine.list_events is 'The last values of all events of a workflow, by key. Role: observer.';
