-- Wait for an event of another workflow, as a step of the waiting one: its value, the recorded timeout, or how long
-- the wait may still take. Locks: the waiting workflow's row (no key update).
create or replace function pyengine.receive_event(
    workflow_id text,
    lease_token uuid,
    step_id int,
    source_id text,
    key text,
    timeout_ms double precision,
    channel text default null
)
returns setof pyengine.receipt
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_attempt int := pyengine._hold_lease(receive_event.workflow_id, receive_event.lease_token);
    v_event record;
begin
    return query select r.* from pyengine._find_receipt(receive_event.workflow_id, receive_event.step_id) r;
    if found then
        return;
    end if;

    select e.serialization, e.value
    into v_event
    from pyengine.events e
    where e.workflow_id = receive_event.source_id and e.key = receive_event.key;
    if found then
        perform pyengine._finish_wait(receive_event.workflow_id, v_attempt, receive_event.step_id, 'DBOS.getEvent',
            v_event.serialization, v_event.value);
        return query select true, v_event.serialization, v_event.value, null::json, 0.0::double precision;
        return;
    end if;

    return query
    select r.*
    from pyengine._keep_waiting(receive_event.workflow_id, v_attempt, receive_event.step_id, 'DBOS.getEvent',
        receive_event.timeout_ms, pyengine.wait_key('event', receive_event.source_id, receive_event.key), receive_event.channel) r;
end
$$;

comment on function pyengine.receive_event is 'Waits for an event as a step of the waiting workflow: its value, the timeout, or how long the wait may still take. Role: worker.';
