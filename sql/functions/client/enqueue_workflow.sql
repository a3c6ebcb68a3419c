-- Enqueue one workflow in the caller's transaction: it is there when the transaction commits, and never if it does not.
-- The first parameters are those of DBOS's function of this name, in its order; ours come behind them. Locks: as start_workflows.
create or replace function pyengine.enqueue_workflow(
    workflow_name text,
    queue_name text,
    positional_args json[] default '{}'::json[],
    named_args json default '{}'::json,
    class_name text default null,
    config_name text default null,
    workflow_id text default null,
    app_version text default null,
    timeout_ms bigint default null,
    deadline_epoch_ms bigint default null,
    deduplication_id text default null,
    priority int default null,
    queue_partition_key text default null,
    authenticated_user text default null,
    authenticated_roles text default null,
    delay_until_epoch_ms bigint default null,
    application_name text default null,
    attributes jsonb default null,
    max_attempts int default null,
    throttle_key text default null,
    throttle_ms bigint default null,
    duplication_policy text default 'reject'
)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_request json;
begin
    if coalesce(btrim(enqueue_workflow.queue_name), '') = '' then
        raise exception using errcode = 'PE400',
            message = 'queue_name is missing or blank: enqueue_workflow needs the name of a queue',
            hint = 'start_workflow starts a workflow without a queue.';
    end if;
    if (enqueue_workflow.throttle_key is null) <> (enqueue_workflow.throttle_ms is null) then
        raise exception using errcode = 'PE400',
            message = 'throttle_key and throttle_ms belong together: give both or none';
    end if;
    if enqueue_workflow.duplication_policy = 'return-existing'
        and num_nonnulls(enqueue_workflow.deduplication_id, enqueue_workflow.throttle_key) = 0
    then
        raise exception using errcode = 'PE400',
            message = 'duplication_policy return-existing needs a deduplication_id or a throttle_key';
    end if;
    v_request := json_build_object(
        'workflow_id', coalesce(enqueue_workflow.workflow_id, pyengine.generate_workflow_id()),
        'name', enqueue_workflow.workflow_name, 'class_name', enqueue_workflow.class_name,
        'config_name', enqueue_workflow.config_name, 'serialization', 'portable_json',
        'inputs', pyengine._arguments(enqueue_workflow.positional_args, enqueue_workflow.named_args),
        'application_name', enqueue_workflow.application_name, 'application_version', enqueue_workflow.app_version,
        'version_is_pinned', enqueue_workflow.app_version is not null, 'max_attempts', enqueue_workflow.max_attempts,
        'queue_name', enqueue_workflow.queue_name, 'priority', enqueue_workflow.priority,
        'partition_key', enqueue_workflow.queue_partition_key, 'deduplication_id', enqueue_workflow.deduplication_id,
        'delay_ms', enqueue_workflow.delay_until_epoch_ms - extract(epoch from pyengine.now()) * 1000,
        'timeout_ms', enqueue_workflow.timeout_ms, 'deadline_epoch_ms', enqueue_workflow.deadline_epoch_ms,
        'authenticated_user', enqueue_workflow.authenticated_user,
        'authenticated_roles', enqueue_workflow.authenticated_roles::json,
        'attributes', enqueue_workflow.attributes);
    if enqueue_workflow.throttle_key is not null then
        -- A field without a value would cost every other enqueue the short way of start_workflows.
        v_request := (
            select json_object_agg(f.key, f.value)
            from (
                select r.key, r.value from json_each(v_request) r
                union all values ('throttle_key', to_json(enqueue_workflow.throttle_key)),
                    ('throttle_ms', to_json(enqueue_workflow.throttle_ms))
            ) f
        );
    end if;
    return pyengine._request_workflow(v_request, enqueue_workflow.duplication_policy);
end
$$;

comment on function pyengine.enqueue_workflow is 'Enqueues one workflow in the caller''s transaction and returns its id. The same id again is the same workflow; arguments are plain JSON, times are milliseconds since 1970. A throttle_key allows one start of the queue in throttle_ms; duplication_policy return-existing gives back the workflow that is in the way of this one instead of PE409. Role: client.';
