-- Make one workflow runnable again.
create or replace function pyengine.resume_workflow(workflow_id text, queue_name text default null)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pyengine._check_known(resume_workflow.workflow_id);
    if exists (
        select 1 from pyengine.resume_workflows(array[resume_workflow.workflow_id], resume_workflow.queue_name)
    ) then
        return true;
    end if;
    perform pyengine._check_known(resume_workflow.workflow_id);  -- it may have been deleted meanwhile
    return false;
end
$$;

comment on function pyengine.resume_workflow is 'Makes a workflow runnable again from its last step, if it has not succeeded or failed; false if it has. Raises PE404 for an unknown workflow. Role: client.';
