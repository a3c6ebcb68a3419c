-- Remove workflows with everything that belongs to them. The caller has locked their rows for update, so that
-- nothing is added meanwhile: every writer of these tables locks the workflow's row first.
create or replace function pyengine._delete_workflows(workflow_ids text[])
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    delete from pyengine.steps s where s.workflow_id = any (_delete_workflows.workflow_ids);
    delete from pyengine.messages m where m.destination_id = any (_delete_workflows.workflow_ids);
    delete from pyengine.message_keys k where k.destination_id = any (_delete_workflows.workflow_ids);
    delete from pyengine.events e where e.workflow_id = any (_delete_workflows.workflow_ids);
    delete from pyengine.event_history h where h.workflow_id = any (_delete_workflows.workflow_ids);
    delete from pyengine.hibernations h where h.workflow_id = any (_delete_workflows.workflow_ids);
    delete from pyengine.streams s where s.workflow_id = any (_delete_workflows.workflow_ids);
    delete from pyengine.workflows w where w.workflow_id = any (_delete_workflows.workflow_ids);
end
$$;

comment on function pyengine._delete_workflows is 'Removes locked workflows with all their steps, messages, events and streams.';
