-- Take back what a workflow did from a step on: its checkpoints (a received message lies in one), its events, the ends of its streams, and
-- all mail that still waits. Stream values stay: somebody may have read them. The caller has locked the workflow.
-- What came before the current generation stays: the inputs are those of this generation.
-- The keys of mail that is taken back are forgotten, so that it can be sent again.
create or replace function pyengine._cut_history(workflow_id text, from_step int)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_from_step int := greatest(_cut_history.from_step, (
        select w.base_step_id + 1 from pyengine.workflows w where w.workflow_id = _cut_history.workflow_id));
begin
    delete from pyengine.steps s
    where s.workflow_id = _cut_history.workflow_id and s.step_id >= v_from_step;
    delete from pyengine.event_history h
    where h.workflow_id = _cut_history.workflow_id and h.step_id >= v_from_step;
    delete from pyengine.events e
    where e.workflow_id = _cut_history.workflow_id and e.step_id >= v_from_step;
    perform pyengine._restore_events(_cut_history.workflow_id);
    delete from pyengine.streams s
    where s.workflow_id = _cut_history.workflow_id and s.is_end and s.step_id >= v_from_step;
    delete from pyengine.messages m where m.destination_id = _cut_history.workflow_id;
    delete from pyengine.message_keys k
    where k.destination_id = _cut_history.workflow_id and (k.step_id is null or k.step_id >= v_from_step);
end
$$;

comment on function pyengine._cut_history is 'Removes what a workflow recorded and published from a step on, and its waiting mail.';
