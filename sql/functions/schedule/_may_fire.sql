-- Whether an executor may fire a schedule: it has the workflow. A schedule whose workflow nobody has is not fired: that
-- would only pile up work.
create or replace function pyengine._may_fire(
    executor pyengine.executors,
    application_name text,
    workflow_name text,
    workflow_class_name text
)
returns boolean
language sql
stable
as $$
    select (application_name is null or application_name = (executor).application_name)
        and pyengine.function_key(workflow_name, workflow_class_name) = any ((executor).functions)
$$;

comment on function pyengine._may_fire is 'Whether an executor may fire a schedule.';
