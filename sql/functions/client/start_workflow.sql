-- Start one workflow in the caller's transaction, without a queue: whoever has the function runs it after the commit.
create or replace function pyengine.start_workflow(
    workflow_name text,
    positional_args json[] default '{}'::json[],
    named_args json default '{}'::json,
    class_name text default null,
    config_name text default null,
    workflow_id text default null,
    app_version text default null,
    timeout_ms bigint default null,
    deadline_epoch_ms bigint default null,
    authenticated_user text default null,
    authenticated_roles text default null,
    application_name text default null,
    attributes jsonb default null,
    max_attempts int default null
)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return pyengine._request_workflow(json_build_object(
        'workflow_id', coalesce(start_workflow.workflow_id, pyengine.generate_workflow_id()),
        'name', start_workflow.workflow_name, 'class_name', start_workflow.class_name,
        'config_name', start_workflow.config_name, 'serialization', 'portable_json',
        'inputs', pyengine._arguments(start_workflow.positional_args, start_workflow.named_args),
        'application_name', start_workflow.application_name, 'application_version', start_workflow.app_version,
        'version_is_pinned', start_workflow.app_version is not null, 'max_attempts', start_workflow.max_attempts,
        'timeout_ms', start_workflow.timeout_ms, 'deadline_epoch_ms', start_workflow.deadline_epoch_ms,
        'authenticated_user', start_workflow.authenticated_user,
        'authenticated_roles', start_workflow.authenticated_roles::json,
        'attributes', start_workflow.attributes));
end
$$;

comment on function pyengine.start_workflow is 'Starts one workflow without a queue, in the caller''s transaction, and returns its id: any process that has the function runs it. Arguments as for enqueue_workflow. Role: client.';
