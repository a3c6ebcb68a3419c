-- The next step of a workflow written in SQL, for the run that owns it; the workflow is locked until the transaction ends.
-- Locks: the workflow row (no key update).
create or replace function pyengine.next_sql_step(workflow_id text, lease_token uuid)
returns setof pyengine.sql_step
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_workflow record;
    v_last record;
    v_step_id int;
    v_owner text;
begin
    perform pyengine._hold_lease(next_sql_step.workflow_id, next_sql_step.lease_token);
    select w.name, w.inputs, q.steps, q.step_owners
    into v_workflow
    from pyengine.workflows w
    left join pyengine.sql_workflows q on q.name = w.name
    where w.workflow_id = next_sql_step.workflow_id;
    select s.step_id, s.name, s.output
    into v_last
    from pyengine.steps s
    where s.workflow_id = next_sql_step.workflow_id
    order by s.step_id desc
    limit 1;
    v_step_id := coalesce(v_last.step_id, 0) + 1;

    if v_workflow.steps is null then
        raise exception using errcode = 'PE404',
            message = format('no function %s is registered, in the process that claimed it or as a SQL workflow',
                v_workflow.name);
    elsif v_step_id > cardinality(v_workflow.steps)
        or v_last.name is distinct from v_workflow.steps[v_step_id - 1] then
        raise exception using errcode = 'PE409',
            message = format('step %s of workflow %s was %s, and %s has other steps now',
                v_last.step_id, next_sql_step.workflow_id, v_last.name, v_workflow.name),
            hint = 'Register changed steps under a new name, or rewind the workflow.';
    end if;
    select pg_get_userbyid(p.proowner)
    into v_owner
    from pg_proc p
    where p.oid = to_regprocedure(v_workflow.steps[v_step_id] || '(json)') and p.prorettype = 'json'::regtype;
    if v_owner is distinct from v_workflow.step_owners[v_step_id] then
        raise exception using errcode = 'PE409',
            message = format('%s is not the function that was registered: it is gone, or has another owner',
                v_workflow.steps[v_step_id]),
            hint = 'An administrator who trusts it calls register_sql_workflow again.';
    end if;

    return query
    select v_step_id, v_workflow.steps[v_step_id], v_step_id = cardinality(v_workflow.steps),
        'select ' || v_workflow.steps[v_step_id] || '($1)',
        case when v_step_id = 1 then pyengine._sql_arguments(v_workflow.inputs) else coalesce(v_last.output, 'null') end;
end
$$;

comment on function pyengine.next_sql_step is 'The next step of a workflow written in SQL, for the run that owns it. Raises PE001 or PE002 when it may not go on, PE404 or PE409 when the step can''t be run. Role: worker.';
