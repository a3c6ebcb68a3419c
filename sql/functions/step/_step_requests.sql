-- Read the documents of record_steps into rows, and say of each what is wrong with it.
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
        pyengine._step_refusal(row(r.workflow_id, r.lease_token, r.step_id, r.name, r.child_workflow_id,
            r.elapsed_ms, r.serialization, r.output, r.error)::pyengine.step_request)
    from pg_catalog.json_populate_recordset(null::pyengine.step_request, pyengine._as_batch(requests))
        with ordinality r (workflow_id, lease_token, step_id, name, child_workflow_id, elapsed_ms, serialization, output, error, item)
$$;

comment on function pyengine._step_requests is 'The documents of record_steps, each with the code of what is wrong with it, if anything.';
