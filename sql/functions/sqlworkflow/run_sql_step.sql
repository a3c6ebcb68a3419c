-- Run the next step of a workflow written in SQL: what it writes, its checkpoint and, with the last one, the outcome are
-- one commit. True when the workflow has ended.
--
-- Runs as its caller and with the caller's search path, because it calls the functions of users: they must have the
-- rights of the worker, never those of the engine's owner. All that the engine does is in functions of its own.
create or replace function pyengine.run_sql_step(workflow_id text, lease_token uuid)
returns boolean
language plpgsql
volatile
security invoker
as $$
declare
    v_began_at timestamptz := pyengine.now();
    v_step pyengine.sql_step;
    v_output json;
    v_code text;
    v_message text;
begin
    select s.step_id, s.name, s.is_last, s.statement, s.input
    into v_step
    from pyengine.next_sql_step(workflow_id => run_sql_step.workflow_id, lease_token => run_sql_step.lease_token) s;
    execute v_step.statement into v_output using v_step.input;
    perform pyengine.finish_sql_step(
        workflow_id => run_sql_step.workflow_id, lease_token => run_sql_step.lease_token, step_id => v_step.step_id,
        name => v_step.name, output => v_output, is_last => v_step.is_last, began_at => v_began_at);
    return v_step.is_last;
exception when others then
    get stacked diagnostics v_code = returned_sqlstate, v_message = message_text;
    if not pyengine.fail_sql_step(
        workflow_id => run_sql_step.workflow_id, lease_token => run_sql_step.lease_token, step_id => v_step.step_id,
        name => v_step.name, error_code => v_code, error_message => v_message) then
        raise;
    end if;
    return true;
end
$$;

comment on function pyengine.run_sql_step is 'Runs the next step of a workflow written in SQL, with the rights of the caller, and records it in the same transaction; true when the workflow has ended. Raises PE001 or PE002 when the run may not go on. Role: worker.';
