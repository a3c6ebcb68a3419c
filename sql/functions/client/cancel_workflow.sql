-- Cancel one workflow.
create or replace function pyengine.cancel_workflow(workflow_id text)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pyengine._check_known(cancel_workflow.workflow_id);
    if exists (select 1 from pyengine.cancel_workflows(array[cancel_workflow.workflow_id])) then
        return true;
    end if;
    perform pyengine._check_known(cancel_workflow.workflow_id);  -- it may have been deleted meanwhile
    return false;
end
$$;

comment on function pyengine.cancel_workflow is 'Cancels a workflow that has not succeeded or failed; true if it is cancelled now, by this call or before. Raises PE404 for an unknown workflow. Role: client.';
