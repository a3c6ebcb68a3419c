-- The status of one workflow; null if there is none.
create or replace function pyengine.get_workflow_status(workflow_id text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return (select w.status from pyengine.workflows w where w.workflow_id = get_workflow_status.workflow_id);
end
$$;

comment on function pyengine.get_workflow_status is 'The status of a workflow; null if there is no such workflow. Role: observer.';
