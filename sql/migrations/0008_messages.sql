-- Messages: mail for workflows, each to be received once. A received message is gone: its receiver's step holds it.
create table pyengine.messages (
    destination_id text collate "C" not null,
    topic text not null,
    message_id bigint generated always as identity,
    sender_id text collate "C",
    sent_at timestamptz not null,
    serialization text not null,
    message json,

    constraint messages_pkey primary key (destination_id, topic, message_id)
);

comment on table pyengine.messages is 'Mail that waits for its receiver.';
comment on column pyengine.messages.topic is 'Mail of one topic is received in order; no topic is the empty text.';
comment on column pyengine.messages.message_id is 'Order of sending: one sender''s messages have growing numbers.';

-- Keys of messages that were sent once and must not be sent again, even after they were received.
create table pyengine.message_keys (
    destination_id text collate "C" not null,
    idempotency_key text collate "C" not null,

    constraint message_keys_pkey primary key (destination_id, idempotency_key)
);

comment on table pyengine.message_keys is 'Idempotency keys of messages, each within its receiver.';

-- For: sending to the forks of a workflow.
create index workflows_forked_from_idx on pyengine.workflows (forked_from) where forked_from is not null;

create type pyengine.receipt as (
    is_done boolean,
    serialization text,
    output json,
    error json,
    remaining_ms double precision
);
comment on type pyengine.receipt is 'What a durable wait came to: done with an outcome, or how long it may still take.';
