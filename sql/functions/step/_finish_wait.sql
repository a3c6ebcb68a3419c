-- Record what a durable wait came to, as a step. The caller holds the workflow's lease.
create or replace function pyengine._finish_wait(
    workflow_id text,
    attempt int,
    step_id int,
    name text,
    serialization text,
    output json
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_now timestamptz := pyengine.now();
begin
    insert into pyengine.steps (
        workflow_id, step_id, name, attempt, started_at, completed_at, serialization, output
    ) values (
        _finish_wait.workflow_id, _finish_wait.step_id, _finish_wait.name, _finish_wait.attempt, v_now, v_now,
        _finish_wait.serialization, _finish_wait.output
    );
end
$$;

comment on function pyengine._finish_wait is 'Records what a durable wait came to, as a step.';
