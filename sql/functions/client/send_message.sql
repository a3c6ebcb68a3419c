-- Send one message in the caller's transaction. The parameters are those of DBOS's function of this name.
-- Locks: as send_messages.
create or replace function pyengine.send_message(
    destination_id text,
    message json,
    topic text default null,
    message_id text default null
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pyengine.send_messages(json_build_array(json_build_object(
        'destination_id', send_message.destination_id, 'topic', send_message.topic,
        'message', coalesce(send_message.message, 'null'::json), 'serialization', 'portable_json',
        'idempotency_key', send_message.message_id)));
end
$$;

comment on function pyengine.send_message is 'Sends one message to a workflow, in the caller''s transaction; raises PE404 if there is no such workflow. A message_id that the receiver was sent before sends nothing. Role: client.';
