-- Read the json array of append_streams into rows, and say of each what is wrong with it.
create or replace function pyengine._append_requests(requests json)
returns table (
    workflow_id text, lease_token uuid, step_id int, step_name text, key text, is_end boolean,
    serialization text, value json, item int, refusal text
)
language sql
stable
as $$
    select r.workflow_id, r.lease_token, r.step_id, r.step_name, r.key, coalesce(r.is_end, false), r.serialization,
        r.value, r.item::int,
        case
            when r.workflow_id is null or r.lease_token is null or r.step_id is null or r.key is null
                or r.serialization is null or pg_catalog.octet_length(r.key) > 512 then 'PE400'
            when pyengine._is_too_large(r.value) then 'PE413'
        end
    from rows from (pg_catalog.json_to_recordset(pyengine._as_batch(requests)) as (
        workflow_id text, lease_token uuid, step_id int, step_name text, key text, is_end boolean,
        serialization text, value json
    )) with ordinality as r (
        workflow_id, lease_token, step_id, step_name, key, is_end, serialization, value, item)
$$;

comment on function pyengine._append_requests is 'The rows of an append_streams request, each with the code of what is wrong with it, if anything.';
