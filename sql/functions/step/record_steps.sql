-- Record the outcomes of steps, once each: the first outcome of a step holds.
-- Locks: the workflow rows (no key update, in id order), then the new step rows.
--
-- The statement that locks a workflow compares its lease token, so a run that lost its lease can't write.
-- Answers only for steps that it did not store. A step alone, given as an object, takes the short way: a workflow that
-- runs one step after the other waits for this function and little else, and the statement for a batch costs it
-- about 60 µs more.
create or replace function pyengine.record_steps(requests json)
returns setof pyengine.step_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_step pyengine.step_request;
    v_attempt int;
begin
    if json_typeof(record_steps.requests) = 'object' then
        v_step := json_populate_record(null::pyengine.step_request, record_steps.requests);
        if pyengine._step_refusal(v_step) is null then
            select w.attempt_count
            into v_attempt
            from pyengine.workflows w
            where w.workflow_id = v_step.workflow_id and w.lease_token = v_step.lease_token
            for no key update;
            if found then
                insert into pyengine.steps (
                    workflow_id, step_id, name, attempt, child_workflow_id,
                    started_at, completed_at, serialization, output, error
                ) values (
                    v_step.workflow_id, v_step.step_id, v_step.name, v_attempt, v_step.child_workflow_id,
                    v_now - make_interval(secs => coalesce(v_step.elapsed_ms, 0) / 1000), v_now,
                    v_step.serialization, v_step.output, v_step.error
                )
                on conflict on constraint steps_pkey do nothing;
                if found then
                    return;
                end if;
            end if;
        end if;
    end if;
    return query select a.* from pyengine._record_batch(pyengine._as_batch(record_steps.requests)) a;
end
$$;

comment on function pyengine.record_steps is 'Records step outcomes (a json array of documents, or one) in one commit, each under the lease of its run; answers only for those that it did not store. Role: worker.';
