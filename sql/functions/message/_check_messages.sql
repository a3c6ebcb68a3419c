-- Refuse what can't be sent, before anything is stored.
create or replace function pyengine._check_messages(messages json)
returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    v_problem record;
begin
    select r.destination_id,
        case
            when r.destination_id is null or r.serialization is null then
                'a message needs a destination_id and a serialization'
            when octet_length(r.topic) > 512 or octet_length(r.idempotency_key) > 512 then
                'topic and idempotency_key must have at most 512 bytes'
            when pyengine._is_too_large(r.message) then
                format('a message to workflow %s is larger than the limit of %s bytes (max_payload_bytes)',
                    r.destination_id, pyengine._payload_limit())
            when octet_length(r.message::text) > 1000 and pyengine._is_too_deep(r.message) then
                format('a message to workflow %s is nested deeper than 500 levels', r.destination_id)
            when count(*) over (partition by r.destination_id, r.idempotency_key) > 1
                and r.idempotency_key is not null then
                'two messages to one workflow have the same idempotency_key'
        end as message,
        pyengine._is_too_large(r.message) or pyengine._is_too_deep(r.message) as is_too_large
    into v_problem
    from json_to_recordset(_check_messages.messages) as r (
        destination_id text, topic text, serialization text, idempotency_key text, message json
    )
    order by 2 nulls last
    limit 1;
    if v_problem.message is not null then
        raise exception using errcode = case when v_problem.is_too_large then 'PE413' else 'PE400' end,
            message = v_problem.message,
            detail = json_build_object('workflow_id', v_problem.destination_id)::text;
    end if;
end
$$;

comment on function pyengine._check_messages is 'Raises PE400 or PE413 for messages that can''t be sent.';
