-- Start workflows as start_workflows says, for an executor that is registered (or none).
-- Those of which none has a parent, a throttle or a queue with a depth limit take the short way.
-- Locks: the queues with a depth limit and the throttle keys, as _prepare_enqueue; the parents (no key update, in id order), then
-- the new rows (in id order).
create or replace function pyengine._start_batch(requests json, common json, executor_id bigint, executor_name text)
returns setof pyengine.start_answer
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
    v_asked int;
    v_created text[];
    v_full_items int[] := '{}'::int[];
    v_work_keys bigint[];
    v_has_throttles boolean := false;
    v_requests json := pyengine._as_batch(_start_batch.requests);
begin
    if not pyengine._needs_care(v_requests, _start_batch.common) then
        v_created := pyengine._start_plain(
            v_requests, _start_batch.common, _start_batch.executor_id, _start_batch.executor_name);
        if cardinality(v_created) < json_array_length(v_requests) then
            return query
            select a.*
            from pyengine._answer_starts(pyengine._with_common(v_requests, _start_batch.common), v_created, '{}') a;
        end if;
        return;
    end if;

    v_requests := pyengine._with_common(v_requests, _start_batch.common);
    if pyengine._may_have_field(v_requests, 'queue_name') then
        v_full_items := pyengine._prepare_enqueue(v_requests);
        v_has_throttles := pyengine._may_have_field(v_requests, 'throttle_key');
    end if;

    with request as materialized (
        select r.*
        from pyengine._start_requests(v_requests) r
    ), parent as materialized (
        select r.item, p.workflow_id, p.lease_token, p.attempt_count, p.deadline_at
        from (select q.item, q.parent_workflow_id from request q
              where q.parent_workflow_id is not null order by q.parent_workflow_id collate "C") r
        cross join lateral (
            select w.workflow_id, w.lease_token, w.attempt_count, w.deadline_at
            from pyengine.workflows w
            where w.workflow_id = r.parent_workflow_id
            for no key update
        ) p
    ), created as (
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
            case when r.lease_token is not null then _start_batch.executor_id end,
            case when r.lease_token is not null then _start_batch.executor_name end,
            r.lease_token, r.start_token, (r.lease_token is not null)::int, r.max_attempts,
            r.queue_name, coalesce(r.priority, 0), r.partition_key, coalesce(r.is_serial, false), r.deduplication_id,
            r.parent_workflow_id, r.authenticated_user, r.assumed_role,
            case when r.authenticated_roles is not null
                then array(select json_array_elements_text(r.authenticated_roles)) end,
            r.attributes,
            case when r.timeout_ms > 0 then make_interval(secs => r.timeout_ms / 1000.0) end,
            case when r.deadline_epoch_ms is not null then to_timestamp(r.deadline_epoch_ms / 1000.0)
                when r.timeout_ms is null then p.deadline_at
                when r.timeout_ms > 0 and r.lease_token is not null
                then v_now + make_interval(secs => r.timeout_ms / 1000.0) end,
            case when r.delay_ms > 0 then v_now + make_interval(secs => r.delay_ms / 1000.0) end,
            v_now + make_interval(secs => (r.item - 1) / 1000000.0), v_now,
            case when r.lease_token is not null then v_now end,
            r.serialization, r.inputs
        from request r
        left join parent p on p.item = r.item
        where r.refusal is null
            and (r.parent_lease_token is null or p.lease_token = r.parent_lease_token)
            and r.item <> all (v_full_items)
        order by r.workflow_id collate "C"
        on conflict do nothing
        returning workflow_id, status, queue_name
    ), recorded as (
        insert into pyengine.steps (
            workflow_id, step_id, name, attempt, child_workflow_id, started_at, completed_at, serialization
        )
        select r.parent_workflow_id, r.parent_step_id, r.step_name, p.attempt_count, r.workflow_id,
            v_now, v_now, r.serialization
        from created c
        join request r on r.workflow_id = c.workflow_id
        join parent p on p.item = r.item
        where r.parent_step_id is not null
        on conflict on constraint steps_pkey do nothing
    )
    select (select count(*) from request), coalesce(array_agg(c.workflow_id), '{}'),
        array_agg(distinct pyengine.wait_key('work', coalesce(c.queue_name, ''))) filter (where c.status = 'ENQUEUED')
    into v_asked, v_created, v_work_keys
    from created c;

    if v_work_keys is not null then
        perform pyengine._wake(v_work_keys);
    end if;
    if v_has_throttles then
        perform pyengine._begin_throttles(v_requests, v_created);
    end if;
    if cardinality(v_created) < v_asked then
        return query select a.* from pyengine._answer_starts(v_requests, v_created, v_full_items) a;
    end if;
end
$$;

comment on function pyengine._start_batch is 'Starts or enqueues a json array of workflows.';
