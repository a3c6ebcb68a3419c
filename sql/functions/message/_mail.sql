-- The messages of a request in order; with send_to_forks each also to all forks of its receiver, and their forks.
create or replace function pyengine._mail(messages json, send_to_forks boolean)
returns table (
    destination_id text, topic text, serialization text, idempotency_key text, message json, item bigint
)
language sql
stable
as $$
    with recursive request as materialized (
        select r.*
        from rows from (pg_catalog.json_to_recordset(messages) as (
            destination_id text, topic text, serialization text, idempotency_key text, message json
        )) with ordinality as r (destination_id, topic, serialization, idempotency_key, message, item)
    ), receiver as (
        select r.item, r.destination_id collate "C" as destination_id from request r
        union
        select v.item, f.workflow_id
        from receiver v
        join pyengine.workflows f on f.forked_from = v.destination_id
        where send_to_forks
    )
    select v.destination_id, r.topic, r.serialization, r.idempotency_key, r.message, r.item
    from receiver v
    join request r on r.item = v.item
    order by v.destination_id, r.item
$$;

comment on function pyengine._mail is 'The messages of a request, one row for each receiver.';
