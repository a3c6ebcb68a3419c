-- Read the json array of record_steps into rows, and say of each what is wrong with it.
create or replace function pyengine._step_requests(requests json)
returns table (
    workflow_id text, lease_token uuid, step_id int, name text, child_workflow_id text,
    elapsed_ms double precision, serialization text, output json, error json,
    item int, refusal text
)
language sql
stable
as $$
    select r.*,
        case
            when r.workflow_id is null or r.lease_token is null or r.name is null or r.serialization is null
                or r.step_id is null or r.step_id < 1 then 'PE400'
            when pg_catalog.octet_length(r.output::text) > 65536
                and pg_catalog.octet_length(r.output::text) > pyengine._payload_limit() then 'PE413'
            when pg_catalog.octet_length(r.error::text) > 65536
                and pg_catalog.octet_length(r.error::text) > pyengine._payload_limit() then 'PE413'
        end
    from rows from (pg_catalog.json_to_recordset(requests) as (
        workflow_id text, lease_token uuid, step_id int, name text, child_workflow_id text,
        elapsed_ms double precision, serialization text, output json, error json
    )) with ordinality r
$$;

comment on function pyengine._step_requests is 'The rows of a record_steps request, each with the code of what is wrong with it, if anything.';
