-- Insert what was asked of start_workflows and nothing speaks against: the ids of the new workflows, and the queues in
-- which they wait (empty: without a queue). The fields of `common` hold for each request that does not give them.
-- The items in `skipped` are left out; `deadlines` are those that items without a timeout inherit.
-- Locks: the new rows (in id order).
create or replace function pyengine._create_workflows(
    requests json,
    common json,
    executor_id bigint,
    executor_name text,
    skipped int[],
    deadlines timestamptz[]
)
returns table (workflow_ids text[], queue_names text[])
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := pyengine.now();
    v_common pyengine.start_request := json_populate_record(
        null::pyengine.start_request, coalesce(_create_workflows.common, '{}'));
begin
    return query
    with created as (
        insert into pyengine.workflows (
            workflow_id, status, name, class_name, config_name,
            application_name, application_version, version_is_pinned,
            executor_id, executor_name, lease_token, start_token, attempt_count, max_attempts,
            queue_name, priority, partition_key, is_serial, deduplication_id,
            parent_workflow_id, authenticated_user, assumed_role, authenticated_roles, attributes,
            timeout, deadline_at, delayed_until, created_at, updated_at, started_at,
            serialization, inputs
        )
        select
            r.workflow_id,
            case when r.lease_token is not null then 'PENDING' when r.delay_ms > 0 then 'DELAYED' else 'ENQUEUED' end,
            r.name, r.class_name, r.config_name,
            r.application_name, r.application_version, coalesce(r.version_is_pinned, false),
            case when r.lease_token is not null then _create_workflows.executor_id end,
            case when r.lease_token is not null then _create_workflows.executor_name end,
            r.lease_token, r.start_token, (r.lease_token is not null)::int, r.max_attempts,
            r.queue_name, coalesce(r.priority, 0), r.partition_key, coalesce(r.is_serial, false), r.deduplication_id,
            r.parent_workflow_id, r.authenticated_user, r.assumed_role,
            case when r.authenticated_roles is not null
                then array(select json_array_elements_text(r.authenticated_roles)) end,
            r.attributes,
            case when r.timeout_ms > 0 then make_interval(secs => r.timeout_ms / 1000.0) end,
            case when r.deadline_epoch_ms is not null then to_timestamp(r.deadline_epoch_ms / 1000.0)
                when r.timeout_ms is null then _create_workflows.deadlines[r.item]
                when r.timeout_ms > 0 and r.lease_token is not null
                then v_now + make_interval(secs => r.timeout_ms / 1000.0) end,
            case when r.delay_ms > 0 then v_now + make_interval(secs => r.delay_ms / 1000.0) end,
            v_now + make_interval(secs => (r.item - 1) / 1000000.0), v_now,
            case when r.lease_token is not null then v_now end,
            r.serialization, r.inputs
        from pyengine._start_requests(_create_workflows.requests, v_common) r
        where r.refusal is null and r.item <> all (_create_workflows.skipped)
        order by r.workflow_id collate "C"
        on conflict do nothing
        returning workflow_id, case when status = 'ENQUEUED' then coalesce(queue_name, '') end as queue_name
    )
    select coalesce(array_agg(c.workflow_id), '{}'),
        array_agg(distinct c.queue_name) filter (where c.queue_name is not null)
    from created c;
end
$$;

comment on function pyengine._create_workflows is 'Inserts the workflows of a batch of starts: the new ids, and the queues in which they wait.';
