-- Send messages (a json array of {destination_id, topic, message, serialization, idempotency_key}), all or none.
-- step is the sending workflow's step, in the form of record_steps: it is recorded in the same commit, and a step
-- that is recorded already sends nothing. Locks: the sender's workflow row (no key update) and the receivers' rows (key
-- share), in id order. Answers as record_steps does.
create or replace function pyengine.send_messages(
    messages json,
    step json default null,
    send_to_forks boolean default false,
    sender_id text default null,
    sender_token uuid default null
)
returns setof pyengine.step_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_sender_id text := coalesce(send_messages.sender_id, send_messages.step ->> 'workflow_id');
    v_missing text;
begin
    if send_messages.sender_token is not null or send_messages.step is not null then
        -- Receivers before the sender in the order of ids are locked before it: who locks many workflows goes by ids.
        perform 1
        from pyengine._mail(send_messages.messages, send_messages.send_to_forks) r
        cross join lateral (
            select 1 from pyengine.workflows w where w.workflow_id = r.destination_id for key share
        ) w
        where r.destination_id < v_sender_id collate "C";
    end if;
    if send_messages.sender_token is not null then
        perform pyengine._hold_lease(send_messages.sender_id, send_messages.sender_token);
    end if;
    if send_messages.step is not null then
        return query select a.* from pyengine.record_steps(json_build_array(send_messages.step)) a;
        if found then
            return;
        end if;
    end if;

    perform pyengine._check_messages(send_messages.messages);
    perform 1
    from pyengine._mail(send_messages.messages, send_messages.send_to_forks) r
    cross join lateral (
        select 1 from pyengine.workflows w where w.workflow_id = r.destination_id for key share
    ) w;
    select r.destination_id
    into v_missing
    from pyengine._mail(send_messages.messages, send_messages.send_to_forks) r
    where not exists (select 1 from pyengine.workflows w where w.workflow_id = r.destination_id)
    limit 1;
    if found then
        raise exception using errcode = 'PE404',
            message = format('there is no workflow %s to send to', v_missing),
            detail = json_build_object('workflow_id', v_missing, 'destination', '`send` destination')::text;
    end if;

    with mail as materialized (
        select r.* from pyengine._mail(send_messages.messages, send_messages.send_to_forks) r
    ), keyed as (
        insert into pyengine.message_keys (destination_id, idempotency_key)
        select r.destination_id, r.idempotency_key
        from mail r
        where r.idempotency_key is not null
        order by r.destination_id collate "C", r.idempotency_key collate "C"
        on conflict on constraint message_keys_pkey do nothing
        returning destination_id, idempotency_key
    )
    insert into pyengine.messages (
        destination_id, topic, sender_id, sent_at, serialization, message, idempotency_key
    )
    select r.destination_id, coalesce(r.topic, ''), send_messages.sender_id, pyengine.now(), r.serialization, r.message,
        r.idempotency_key
    from mail r
    where r.idempotency_key is null
        or exists (
            select 1 from keyed k
            where k.destination_id = r.destination_id and k.idempotency_key = r.idempotency_key
        )
    order by r.item;

    perform pyengine._wake(array(
        select distinct pyengine.wait_key('message', r.destination_id, coalesce(r.topic, ''))
        from pyengine._mail(send_messages.messages, send_messages.send_to_forks) r
    ));
end
$$;

comment on function pyengine.send_messages is 'Sends a json array of messages, all or none, and records the sending step in the same commit; a receiver that does not exist raises PE404. Role: client.';
