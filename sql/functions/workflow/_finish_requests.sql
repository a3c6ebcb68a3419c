-- Read the documents of finish_workflows into rows, and say of each what is wrong with it.
create or replace function pyengine._finish_requests(requests json)
returns table (
    workflow_id text, lease_token uuid, serialization text, output json, error json, item int, refusal text
)
language sql
stable
as $$
    select r.*,
        pyengine._finish_refusal(
            row(r.workflow_id, r.lease_token, r.serialization, r.output, r.error)::pyengine.finish_request)
    from pg_catalog.json_populate_recordset(null::pyengine.finish_request, pyengine._as_batch(requests))
        with ordinality r (workflow_id, lease_token, serialization, output, error, item)
$$;

comment on function pyengine._finish_requests is 'The documents of finish_workflows, each with the code of what is wrong with it, if anything.';
