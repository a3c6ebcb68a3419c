-- End the run of a workflow and let it begin again as new, in one commit: with these inputs, without history, with
-- fresh attempts, for the latest version. It keeps its id, its place, its deadline, its mail, events and streams; who
-- waits for its result waits on. The step that records the change is numbered step_id, or later if a later one is
-- recorded, and the next generation numbers its steps from there on. Returns the number of the new generation, from 2.
--
-- The steps of the generation that ends are kept for those who look back; older ones are removed, so that what a loop
-- that never ends takes is bounded. Locks: the workflow row (no key update).
create or replace function pyengine.continue_workflow(
    workflow_id text,
    lease_token uuid,
    step_id int,
    serialization text,
    inputs json
)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_attempt int;
    v_workflow record;
    v_base int;
    v_generation int;
begin
    if continue_workflow.step_id < 1 is not false or continue_workflow.serialization is null
        or continue_workflow.inputs is null then
        raise exception using errcode = 'PE400',
            message = 'continue_workflow needs a step_id of at least 1, a serialization and inputs';
    elsif pyengine._is_too_large(continue_workflow.inputs) or pyengine._is_too_deep(continue_workflow.inputs) then
        raise exception using errcode = 'PE413',
            message = format('the new inputs of workflow %s are larger than the limit of %s bytes (max_payload_bytes), '
                'or nested deeper than 500 levels', continue_workflow.workflow_id, pyengine._payload_limit());
    end if;
    v_attempt := pyengine._hold_lease(continue_workflow.workflow_id, continue_workflow.lease_token);
    select w.base_step_id, w.queue_name
    into v_workflow
    from pyengine.workflows w
    where w.workflow_id = continue_workflow.workflow_id;

    select greatest(continue_workflow.step_id, max(s.step_id) + 1),
        coalesce(max(s.output::text) filter (where s.step_id = v_workflow.base_step_id), '1')::int + 1
    into v_base, v_generation
    from pyengine.steps s
    where s.workflow_id = continue_workflow.workflow_id;
    delete from pyengine.steps s
    where s.workflow_id = continue_workflow.workflow_id and s.step_id < v_workflow.base_step_id;
    delete from pyengine.event_history h
    where h.workflow_id = continue_workflow.workflow_id and h.step_id < v_workflow.base_step_id and exists (
        select 1 from pyengine.event_history l
        where l.workflow_id = h.workflow_id and l.key = h.key and l.step_id > h.step_id
    );
    insert into pyengine.steps (
        workflow_id, step_id, name, attempt, started_at, completed_at, serialization, output
    )
    values (
        continue_workflow.workflow_id, v_base, 'DBOS.continueAsNew', v_attempt, v_now, v_now, 'json', to_json(v_generation)
    );
    update pyengine.workflows w
    set status = 'ENQUEUED', lease_token = null, base_step_id = v_base, attempt_count = 0,
        serialization = continue_workflow.serialization, inputs = continue_workflow.inputs,
        application_version = null, version_is_pinned = false, updated_at = v_now
    where w.workflow_id = continue_workflow.workflow_id;
    perform pyengine._wake(array[pyengine.wait_key('work', coalesce(v_workflow.queue_name, ''))]);
    return v_generation;
end
$$;

comment on function pyengine.continue_workflow is 'Ends the run of a workflow and lets the workflow begin again as new, with these inputs and without history, in one commit; returns the number of its new generation. Raises PE001, PE002, PE400 or PE413. Role: worker.';
