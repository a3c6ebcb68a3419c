-- Publish a value of a workflow under a key; the last one counts. With step_name the step is recorded in the same
-- commit, and a step that is recorded already changes nothing. Locks: the workflow row (no key update), then the event.
create or replace function pyengine.set_event(
    workflow_id text,
    lease_token uuid,
    step_id int,
    key text,
    serialization text,
    value json,
    step_name text default null
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_attempt int := pyengine._hold_lease(set_event.workflow_id, set_event.lease_token);
    v_now timestamptz := pyengine.now();
begin
    perform pyengine._check_published('event', set_event.workflow_id, set_event.key, set_event.value);
    if set_event.step_name is not null then
        insert into pyengine.steps (workflow_id, step_id, name, attempt, started_at, completed_at, serialization)
        values (set_event.workflow_id, set_event.step_id, set_event.step_name, v_attempt, v_now, v_now, 'json')
        on conflict on constraint steps_pkey do nothing;
        if not found then
            return;
        end if;
    end if;

    insert into pyengine.events as e (workflow_id, key, step_id, set_at, serialization, value)
    values (set_event.workflow_id, set_event.key, set_event.step_id, v_now, set_event.serialization, set_event.value)
    on conflict on constraint events_pkey do update
    set step_id = excluded.step_id, set_at = excluded.set_at, serialization = excluded.serialization,
        value = excluded.value;
    insert into pyengine.event_history as h (workflow_id, key, step_id, serialization, value)
    values (set_event.workflow_id, set_event.key, set_event.step_id, set_event.serialization, set_event.value)
    on conflict on constraint event_history_pkey do update
    set serialization = excluded.serialization, value = excluded.value;

    perform pyengine._wake(array[pyengine.wait_key('event', set_event.workflow_id, set_event.key)]);
end
$$;

comment on function pyengine.set_event is 'Publishes a value of a workflow under a key, under the lease of its run; with step_name as a recorded step. Role: worker.';
