-- Publish what the history of a workflow's events says where nothing is published: the value of the latest step.
create or replace function pyengine._restore_events(workflow_id text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    insert into pyengine.events (workflow_id, key, step_id, set_at, serialization, value)
    select distinct on (h.key) h.workflow_id, h.key, h.step_id, pyengine.now(), h.serialization, h.value
    from pyengine.event_history h
    where h.workflow_id = _restore_events.workflow_id
    order by h.key, h.step_id desc
    on conflict on constraint events_pkey do nothing;
end
$$;

comment on function pyengine._restore_events is 'Publishes the latest value in the history of each event that is not published.';
