-- Record the output of a step of a workflow written in SQL, and with the last step the workflow's.
-- Locks: the workflow row (no key update), then the new step row.
create or replace function pyengine.finish_sql_step(
    workflow_id text,
    lease_token uuid,
    step_id int,
    name text,
    output json,
    is_last boolean,
    began_at timestamptz
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_output json := coalesce(finish_sql_step.output, 'null');
begin
    perform pyengine.record_step_in_transaction(
        workflow_id => finish_sql_step.workflow_id, lease_token => finish_sql_step.lease_token,
        step_id => finish_sql_step.step_id, name => finish_sql_step.name, serialization => 'portable_json',
        output => v_output, elapsed_ms => extract(epoch from pyengine.now() - finish_sql_step.began_at) * 1000);
    if finish_sql_step.is_last then
        perform pyengine.finish_workflows(requests => json_build_array(json_build_object(
            'workflow_id', finish_sql_step.workflow_id, 'lease_token', finish_sql_step.lease_token,
            'serialization', 'portable_json', 'output', v_output)));
    end if;
end
$$;

comment on function pyengine.finish_sql_step is 'Records the output of a step of a workflow written in SQL, and with the last step the workflow''s, inside the caller''s transaction. Role: worker.';
