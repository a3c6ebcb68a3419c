-- Put a workflow off: the first call with a key enqueues it to start after period_ms; each later call until then replaces
-- its inputs and moves its start to period_ms from now, but not beyond timeout_ms after the first call.
-- Locks: the row of a queue with a depth limit if the call has a parent, then the parent and the holder of the key (no
-- key update, in id order), then the new row.
--
-- The request is one document of start_workflows. Within a workflow its parent_step_id is the step of the start, and the
-- one before it is the step that looks for a holder of the key; both are recorded in the same commit as the change.
--
-- A parent's deadline is not inherited: the workflow runs for the last call, not for the first.
create or replace function pyengine.debounce_workflow(
    request json,
    debounce_key text,
    period_ms double precision,
    timeout_ms double precision default null
)
returns setof pyengine.debounce_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_call pyengine.debounce_call := pyengine._debounce_call(
        debounce_workflow.request, debounce_workflow.debounce_key, debounce_workflow.period_ms,
        debounce_workflow.timeout_ms);
    v_answer pyengine.debounce_answer;
begin
    if v_call.parent_workflow_id is not null and v_call.queue_name is not null then
        perform pyengine._prepare_enqueue(v_call.requests);
    end if;
    loop
        v_answer := pyengine._bounce(v_call);
        exit when v_answer.workflow_id is not null;
        v_answer := pyengine._start_debounced(v_call);
        exit when v_answer.workflow_id is not null;
        -- Somebody else took the key, or let it go, between the two.
    end loop;
    return next v_answer;
end
$$;

comment on function pyengine.debounce_workflow is 'Enqueues a workflow that starts period_ms after the last call with its key, with the inputs of that call, at most timeout_ms after the first; one refusal is possible, PE409: another kind of workflow holds the key. Role: client.';
