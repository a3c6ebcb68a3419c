-- Record the error of a step of a workflow written in SQL as the step's and the workflow's. False when it is nobody's
-- outcome: the run may not go on, or the error is of the moment, and the step is tried again.
-- Locks: the workflow row (no key update), then the new step row.
create or replace function pyengine.fail_sql_step(
    workflow_id text,
    lease_token uuid,
    step_id int,
    name text,
    error_code text,
    error_message text
)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_error json := json_build_object('name', 'SQLError', 'message', left(fail_sql_step.error_message, 2000),
        'code', fail_sql_step.error_code, 'data', null);
begin
    if fail_sql_step.error_code ~ '^(PE00|08|53|57P|40|55P03|25006)' then
        return false;
    end if;
    if fail_sql_step.step_id is not null then
        perform pyengine.record_steps(requests => json_build_array(json_build_object(
            'workflow_id', fail_sql_step.workflow_id, 'lease_token', fail_sql_step.lease_token,
            'step_id', fail_sql_step.step_id, 'name', fail_sql_step.name, 'serialization', 'portable_json',
            'error', v_error)));
    end if;
    perform pyengine.finish_workflows(requests => json_build_array(json_build_object(
        'workflow_id', fail_sql_step.workflow_id, 'lease_token', fail_sql_step.lease_token,
        'serialization', 'portable_json', 'error', v_error)));
    return true;
end
$$;

comment on function pyengine.fail_sql_step is 'Records the error of a step of a workflow written in SQL as the outcome of both; false when the step should be tried again, or the run may not go on. Role: worker.';
