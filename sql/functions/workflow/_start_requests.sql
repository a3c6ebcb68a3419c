-- Read the json array of start_workflows into rows, and say of each what is wrong with it.
create or replace function pyengine._start_requests(requests json)
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
        case
            when r.workflow_id is null or pg_catalog.btrim(r.workflow_id) = '' then 'PE400'
            when pg_catalog.octet_length(r.workflow_id) > 512 then 'PE400'
            when pg_catalog.octet_length(r.partition_key) > 512 or pg_catalog.octet_length(r.deduplication_id) > 512
                or pg_catalog.octet_length(r.queue_name) > 255 or r.priority < 0 then 'PE400'
            when r.queue_name is null and r.partition_key is not null then 'PE400'
            when r.lease_token is not null and pg_catalog.num_nonnulls(r.queue_name, r.deduplication_id) > 0 then 'PE400'
            when r.name is null or r.inputs is null or r.serialization is null or r.name = '' then 'PE400'
            when pg_catalog.octet_length(r.name) > 512 or pg_catalog.octet_length(r.class_name) > 512
                or pg_catalog.octet_length(r.config_name) > 512 then 'PE400'
            -- A time of a hundred years is as good as any longer one, and the calendar can hold it.
            when r.delay_ms > 3155760000000 or r.timeout_ms > 3155760000000
                or pg_catalog.abs(r.deadline_epoch_ms) > 9000000000000 or r.max_attempts < 1 then 'PE400'
            when pyengine._is_too_large(r.inputs) then 'PE413'
            when pg_catalog.octet_length(r.inputs::text) > 1000 and pyengine._is_too_deep(r.inputs) then 'PE413'
            when coalesce(r.authenticated_user, r.assumed_role, r.authenticated_roles::text) is not null
                and not pyengine._may_authenticate() then 'PE403'
        end
    from rows from (pg_catalog.json_to_recordset(pyengine._as_batch(requests)) as (
        workflow_id text, name text, class_name text, config_name text,
        application_name text, application_version text, version_is_pinned boolean,
        lease_token uuid, start_token uuid, max_attempts int,
        queue_name text, priority int, partition_key text, is_serial boolean, deduplication_id text, delay_ms double precision,
        parent_workflow_id text, parent_lease_token uuid, parent_step_id int, step_name text,
        reject_known_id boolean, authenticated_user text, assumed_role text, authenticated_roles json, attributes jsonb,
        timeout_ms double precision, deadline_epoch_ms double precision, serialization text, inputs json
    )) with ordinality r
$$;

comment on function pyengine._start_requests is 'The rows of a start_workflows request, each with the code of what is wrong with it, if anything.';
