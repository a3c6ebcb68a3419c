-- Read the documents of start_workflows into rows, and say of each what is wrong with it. What a document leaves out is as
-- in `common`.
create or replace function pyengine._start_requests(requests json, common pyengine.start_request default null)
returns table (
    workflow_id text, name text, class_name text, config_name text,
    application_name text, application_version text, version_is_pinned boolean,
    lease_token uuid, start_token uuid, max_attempts int,
    queue_name text, priority int, partition_key text, is_serial boolean, deduplication_id text, delay_ms double precision,
    parent_workflow_id text, parent_lease_token uuid, parent_step_id int, step_name text,
    reject_known_id boolean, authenticated_user text, assumed_role text, authenticated_roles json, attributes jsonb,
    timeout_ms double precision, deadline_epoch_ms double precision, serialization text, inputs json,
    item int, refusal text
)
language sql
stable
as $$
    select r.*,
        pyengine._start_refusal(row(
            r.workflow_id, r.name, r.class_name, r.config_name, r.application_name, r.application_version,
            r.version_is_pinned, r.lease_token, r.start_token, r.max_attempts, r.queue_name, r.priority, r.partition_key,
            r.is_serial, r.deduplication_id, r.delay_ms, r.parent_workflow_id, r.parent_lease_token, r.parent_step_id,
            r.step_name, r.reject_known_id, r.authenticated_user, r.assumed_role, r.authenticated_roles, r.attributes,
            r.timeout_ms, r.deadline_epoch_ms, r.serialization, r.inputs)::pyengine.start_request)
    from pg_catalog.json_populate_recordset(common, pyengine._as_batch(requests))
        with ordinality r (
            workflow_id, name, class_name, config_name, application_name, application_version,
            version_is_pinned, lease_token, start_token, max_attempts, queue_name, priority, partition_key,
            is_serial, deduplication_id, delay_ms, parent_workflow_id, parent_lease_token, parent_step_id,
            step_name, reject_known_id, authenticated_user, assumed_role, authenticated_roles, attributes,
            timeout_ms, deadline_epoch_ms, serialization, inputs, item)
$$;

comment on function pyengine._start_requests is 'The rows of a start_workflows request, each with the code of what is wrong with it, if anything.';
