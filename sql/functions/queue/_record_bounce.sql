-- Record in the calling workflow, if there is one, whom a debounced call put off (null: nobody, it starts a new one).
create or replace function pyengine._record_bounce(call pyengine.debounce_call, holder_id text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    if (call).parent_workflow_id is null then
        return;
    end if;
    insert into pyengine.steps (
        workflow_id, step_id, name, attempt, child_workflow_id, started_at, completed_at, serialization
    )
    select w.workflow_id, (call).start_step_id - 1, 'DBOS.debounce_delayed_workflow', w.attempt_count,
        _record_bounce.holder_id, pyengine.now(), pyengine.now(), (call).serialization
    from pyengine.workflows w
    where w.workflow_id = (call).parent_workflow_id;
end
$$;

comment on function pyengine._record_bounce is 'Records a debounced call in the workflow that made it.';
