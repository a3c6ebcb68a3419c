-- Start one workflow that nothing refuses and that has no parent. False, and nothing is stored, when its queue has a
-- depth limit or its id or deduplication id is taken: that is for the statement for a batch.
-- It has the rights and the settings of start_workflows.
-- Locks: the new row.
create or replace function pyengine._start_alone(request pyengine.start_request, executor_id bigint, executor_name text)
returns boolean
language plpgsql
volatile
as $$
declare
    v_now timestamptz := pyengine.now();
    v_is_leased boolean := (_start_alone.request).lease_token is not null;
    v_start pyengine.start_request := _start_alone.request;
    v_roles text[];
begin
    if v_start.queue_name is not null and exists (
        select from pyengine.queues q where q.queue_name = v_start.queue_name and q.max_depth is not null
    ) then
        return false;
    end if;
    -- As a part of the insert it would cost every start, not only those with roles.
    if v_start.authenticated_roles is not null then
        v_roles := array(select json_array_elements_text(v_start.authenticated_roles));
    end if;
    insert into pyengine.workflows (
        workflow_id, status, name, class_name, config_name,
        application_name, application_version, version_is_pinned,
        executor_id, executor_name, lease_token, start_token, attempt_count, max_attempts,
        queue_name, priority, partition_key, is_serial, deduplication_id,
        authenticated_user, assumed_role, authenticated_roles, attributes,
        timeout, deadline_at, delayed_until, created_at, updated_at, started_at, serialization, inputs
    ) values (
        v_start.workflow_id,
        case when v_is_leased then 'PENDING' when v_start.delay_ms > 0 then 'DELAYED' else 'ENQUEUED' end,
        v_start.name, v_start.class_name, v_start.config_name,
        v_start.application_name, v_start.application_version, coalesce(v_start.version_is_pinned, false),
        case when v_is_leased then _start_alone.executor_id end,
        case when v_is_leased then _start_alone.executor_name end,
        v_start.lease_token, v_start.start_token, v_is_leased::int, v_start.max_attempts,
        v_start.queue_name, coalesce(v_start.priority, 0), v_start.partition_key, coalesce(v_start.is_serial, false),
        v_start.deduplication_id,
        v_start.authenticated_user, v_start.assumed_role, v_roles, v_start.attributes,
        case when v_start.timeout_ms > 0 then make_interval(secs => v_start.timeout_ms / 1000.0) end,
        case when v_start.deadline_epoch_ms is not null then to_timestamp(v_start.deadline_epoch_ms / 1000.0)
            when v_start.timeout_ms > 0 and v_is_leased
            then v_now + make_interval(secs => v_start.timeout_ms / 1000.0) end,
        case when v_start.delay_ms > 0 then v_now + make_interval(secs => v_start.delay_ms / 1000.0) end,
        v_now, v_now, case when v_is_leased then v_now end, v_start.serialization, v_start.inputs
    )
    on conflict do nothing;
    if found and not v_is_leased and v_start.delay_ms > 0 is not true then
        perform pyengine._wake(array[pyengine.wait_key('work', coalesce(v_start.queue_name, ''))]);
        return true;
    end if;
    return found;
end
$$;

comment on function pyengine._start_alone is 'Starts one workflow; false when it must be started as a batch.';
