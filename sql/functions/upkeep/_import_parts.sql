-- Store what an exported workflow has beside its row.
create or replace function pyengine._import_parts(document json)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into pyengine.steps
    select r.* from json_populate_recordset(null::pyengine.steps, _import_parts.document -> 'steps') r;
    insert into pyengine.messages (
        destination_id, topic, sender_id, sent_at, serialization, message, idempotency_key
    )
    select r.destination_id, r.topic, r.sender_id, r.sent_at, r.serialization, r.message, r.idempotency_key
    from json_populate_recordset(null::pyengine.messages, _import_parts.document -> 'messages') r
    order by r.message_id;
    insert into pyengine.message_keys
    select r.* from json_populate_recordset(null::pyengine.message_keys, _import_parts.document -> 'message_keys') r;
    insert into pyengine.events
    select r.* from json_populate_recordset(null::pyengine.events, _import_parts.document -> 'events') r;
    insert into pyengine.event_history
    select r.* from json_populate_recordset(null::pyengine.event_history, _import_parts.document -> 'event_history') r;
    insert into pyengine.streams
    select r.* from json_populate_recordset(null::pyengine.streams, _import_parts.document -> 'streams') r;
end
$$;

comment on function pyengine._import_parts is 'Stores the steps, messages, events and streams of an exported workflow.';
