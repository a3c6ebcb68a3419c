-- Receive the oldest message of a topic: the message is taken and recorded as a step in one commit.
-- Without a message: how long the wait may still take (its end is recorded as the next step), or the recorded
-- timeout. Locks: the receiver's workflow row (no key update), then the message.
create or replace function pyengine.receive_message(
    workflow_id text,
    lease_token uuid,
    step_id int,
    topic text,
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
    v_attempt int := pyengine._hold_lease(receive_message.workflow_id, receive_message.lease_token);
    v_message record;
begin
    return query select r.* from pyengine._find_receipt(receive_message.workflow_id, receive_message.step_id) r;
    if found then
        return;
    end if;

    delete from pyengine.messages m
    where (m.destination_id, m.topic, m.message_id) = (
        select o.destination_id, o.topic, o.message_id
        from pyengine.messages o
        where o.destination_id = receive_message.workflow_id and o.topic = receive_message.topic
        order by o.message_id
        limit 1
        for update
    )
    returning m.serialization, m.message, m.idempotency_key into v_message;
    if found then
        if v_message.idempotency_key is not null then
            update pyengine.message_keys k
            set step_id = receive_message.step_id
            where k.destination_id = receive_message.workflow_id and k.idempotency_key = v_message.idempotency_key;
        end if;
        perform pyengine._finish_wait(receive_message.workflow_id, v_attempt, receive_message.step_id, 'DBOS.recv',
            v_message.serialization, v_message.message);
        return query select true, v_message.serialization, v_message.message, null::json, 0.0::double precision;
        return;
    end if;

    return query
    select r.*
    from pyengine._keep_waiting(receive_message.workflow_id, v_attempt, receive_message.step_id, 'DBOS.recv',
        receive_message.timeout_ms, pyengine.wait_key('message', receive_message.workflow_id, receive_message.topic), receive_message.channel) r;
end
$$;

comment on function pyengine.receive_message is 'Takes the oldest message of a topic and records it as a step in one commit; otherwise says how long the wait may still take, or that it timed out. Role: worker.';
