-- The documents of start_workflows that have a throttle key, and what is wrong with that. They are read apart from the
-- other fields, so that starts without a throttle don't pay for it.
create or replace function pyengine._throttle_requests(requests json)
returns table (
    workflow_id text, queue_name text, throttle_key text, throttle_ms double precision, lease_token uuid,
    item int, refusal text
)
language sql
stable
as $$
    select r.*,
        case when r.queue_name is null or r.lease_token is not null or pg_catalog.octet_length(r.throttle_key) > 512
            or r.throttle_ms > 0 is not true or r.throttle_ms > 3155760000000 then 'PE400' end
    from rows from (pg_catalog.json_to_recordset(pyengine._as_batch(requests)) as (
        workflow_id text, queue_name text, throttle_key text, throttle_ms double precision, lease_token uuid
    )) with ordinality r
    where r.throttle_key is not null
$$;

comment on function pyengine._throttle_requests is 'The starts with a throttle key, each with the code of what is wrong with it, if anything.';
