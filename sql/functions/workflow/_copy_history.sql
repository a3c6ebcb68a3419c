-- Give a fork what its original had before a step: checkpoints, events and stream values. children maps ids of
-- children to the ids that the copied checkpoints name instead. The caller has locked both workflows.
-- What came before the current generation is always before the step: the inputs are those of this generation.
-- Values of a stream are numbered anew: those of later steps may lie between them.
create or replace function pyengine._copy_history(source_id text, target_id text, before_step int, children json)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_before_step int := greatest(_copy_history.before_step, (
        select w.base_step_id + 1 from pyengine.workflows w where w.workflow_id = _copy_history.source_id));
begin
    insert into pyengine.steps (
        workflow_id, step_id, name, attempt, child_workflow_id, started_at, completed_at, serialization, output, error
    )
    select _copy_history.target_id, s.step_id, s.name, 0,
        coalesce(_copy_history.children ->> s.child_workflow_id, s.child_workflow_id),
        s.started_at, s.completed_at, s.serialization, s.output, s.error
    from pyengine.steps s
    where s.workflow_id = _copy_history.source_id and s.step_id < v_before_step;

    insert into pyengine.event_history (workflow_id, key, step_id, serialization, value)
    select _copy_history.target_id, h.key, h.step_id, h.serialization, h.value
    from pyengine.event_history h
    where h.workflow_id = _copy_history.source_id and h.step_id < v_before_step;
    perform pyengine._restore_events(_copy_history.target_id);

    insert into pyengine.streams (workflow_id, key, position, step_id, is_end, serialization, value)
    select _copy_history.target_id, s.key, row_number() over (partition by s.key order by s.position) - 1,
        s.step_id, s.is_end, s.serialization, s.value
    from pyengine.streams s
    where s.workflow_id = _copy_history.source_id and s.step_id < v_before_step;
end
$$;

comment on function pyengine._copy_history is 'Copies checkpoints, events and stream values of the steps before one to a fork.';
