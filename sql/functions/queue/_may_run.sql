-- Whether an executor can run a workflow: its application, its version, and its function.
--
-- A pinned workflow is run by its version only. One without a version is run by the latest version, where versions are
-- pinned; executors whose version is a hash of their code run whatever they have the function for.
create or replace function pyengine._may_run(
    executor pyengine.executors,
    application_name text,
    application_version text,
    version_is_pinned boolean,
    name text,
    class_name text,
    config_name text
)
returns boolean
language sql
stable
as $$
    select (application_name is null or application_name = (executor).application_name)
        and (not version_is_pinned or application_version = (executor).application_version)
        and (application_version is not null or not (executor).version_is_pinned
            or (executor).application_version = (pyengine._latest_version((executor).application_name)).version_name)
        and pyengine.function_key(name, class_name, config_name) = any ((executor).functions)
$$;

comment on function pyengine._may_run is 'Whether an executor can run a workflow.';
