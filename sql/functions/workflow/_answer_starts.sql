-- Say why starts created nothing: refused, fenced, too deep a queue, throttled, a held deduplication id, or the id exists. A child start that attaches to an existing
-- workflow of the same function is recorded as the parent's step here.
-- Locks: none beyond those that start_workflows holds.
create or replace function pyengine._answer_starts(requests json, created text[], full_items int[])
returns setof pyengine.start_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
    with request as materialized (
        select r.*, t.refusal as throttle_refusal, w.workflow_id is not null as is_known, w.status, w.lease_token as current_token,
            w.start_token as known_start_token,
            w.name as known_name, w.class_name as known_class, w.config_name as known_config, w.queue_name as known_queue,
            p.status as parent_status, p.attempt_count as parent_attempt,
            r.parent_lease_token is not null and p.lease_token is distinct from r.parent_lease_token as is_fenced,
            r.item = any (_answer_starts.full_items) as is_full, coalesce(h.workflow_id, d.workflow_id) as holder_id,
            h.ends_at as throttled_until
        from pyengine._start_requests(_answer_starts.requests) r
        left join pyengine.workflows w on w.workflow_id = r.workflow_id
        left join pyengine.workflows p on p.workflow_id = r.parent_workflow_id
        left join pyengine.workflows d on d.deduplication_id = r.deduplication_id
            and d.queue_name is not distinct from r.queue_name and d.workflow_id <> r.workflow_id
        left join pyengine._throttle_requests(_answer_starts.requests) t on t.item = r.item
        left join pyengine.throttles h on h.queue_name = t.queue_name and h.throttle_key = t.throttle_key
            and h.ends_at > pyengine.now() and h.workflow_id <> r.workflow_id
    ), attached as (
        insert into pyengine.steps (
            workflow_id, step_id, name, attempt, child_workflow_id, started_at, completed_at, serialization
        )
        select r.parent_workflow_id, r.parent_step_id, r.step_name, r.parent_attempt, r.workflow_id,
            pyengine.now(), pyengine.now(), r.serialization
        from request r
        where r.parent_step_id is not null and coalesce(r.refusal, r.throttle_refusal) is null and not r.is_fenced and r.is_known
            and r.reject_known_id is not true
            and (r.known_name, r.known_class, r.known_config) is not distinct from (r.name, r.class_name, r.config_name)
        on conflict on constraint steps_pkey do nothing
    )
    select r.item,
        case when r.refusal is not null then r.refusal
            when r.throttle_refusal is not null then r.throttle_refusal
            when r.is_fenced and r.parent_status = 'CANCELLED' then 'PE002'
            when r.is_fenced then 'PE001'
            when not r.is_known and r.throttled_until is not null then 'PE409'
            when not r.is_known and r.is_full then 'PE429'
            when not r.is_known then 'PE409' end,
        case when r.refusal = 'PE413' and octet_length(r.inputs::text) > pyengine._payload_limit() then format(
                'the inputs of workflow %s take %s bytes, more than the limit of %s bytes (max_payload_bytes)',
                r.workflow_id, octet_length(r.inputs::text), pyengine._payload_limit())
            when r.refusal = 'PE413' then format(
                'the inputs of workflow %s are nested deeper than 500 levels', r.workflow_id)
            when r.refusal = 'PE403' then
                'this login may not say on whose behalf a workflow runs: that takes the role worker'
            when r.refusal is not null then
                concat('the workflow can''t be started: ', concat_ws(', ',
                    case when coalesce(btrim(r.workflow_id), '') = '' or octet_length(r.workflow_id) > 512
                        then 'its workflow_id must have 1 to 512 bytes and not be blank' end,
                    case when coalesce(r.name, '') = '' or octet_length(r.name) > 512
                        then 'its name must have 1 to 512 bytes' end,
                    case when greatest(octet_length(r.class_name), octet_length(r.config_name)) > 512
                        then 'its class_name and config_name must have at most 512 bytes' end,
                    case when r.inputs is null then 'its inputs are missing' end,
                    case when r.serialization is null then 'its serialization is missing' end,
                    case when octet_length(r.queue_name) not between 1 and 255
                        then 'its queue_name must have 1 to 255 bytes' end,
                    case when greatest(octet_length(r.partition_key), octet_length(r.deduplication_id)) > 512
                        then 'its partition_key and deduplication_id must have at most 512 bytes' end,
                    case when r.partition_key is not null and r.queue_name is null
                        then 'its partition_key needs a queue_name' end,
                    case when r.lease_token is not null and num_nonnulls(r.queue_name, r.deduplication_id) > 0
                        then 'its lease_token excludes a queue_name and a deduplication_id' end,
                    case when r.priority < 0 then 'its priority must not be negative' end,
                    case when r.max_attempts < 1 then 'its max_attempts must be at least 1' end,
                    case when r.delay_ms > 3155760000000 or r.timeout_ms > 3155760000000
                            or abs(r.deadline_epoch_ms) > 9000000000000
                        then 'its delay, timeout and deadline must lie within 100 years' end))
            when r.throttle_refusal is not null then
                'a throttle_key has at most 512 bytes and needs a queue_name, no lease_token, and a throttle_ms of more than 0 '
                'and at most 100 years'
            when r.is_fenced then format('workflow %s is no longer owned by this run', r.parent_workflow_id)
            when not r.is_known and r.throttled_until is not null then format(
                'workflow %s was not enqueued: its throttle key allows no start before %s, after workflow %s',
                r.workflow_id, r.throttled_until, r.holder_id)
            when not r.is_known and r.is_full then format(
                'queue %s is full (max_depth): workflow %s was not enqueued, try again later', r.queue_name, r.workflow_id)
            when not r.is_known then format(
                'the deduplication id %s%s is held by workflow %s',
                r.deduplication_id, ' of queue ' || r.queue_name, r.holder_id) end,
        r.status, r.known_name, r.known_class, r.known_config, r.known_queue, r.holder_id
    from request r
    where coalesce(r.refusal, r.throttle_refusal) is not null or r.is_fenced or not r.is_known
        or (r.workflow_id <> all (_answer_starts.created)
            and (r.lease_token is null or r.current_token is distinct from r.lease_token)
            and (r.start_token is null or r.known_start_token is distinct from r.start_token));
end
$$;

comment on function pyengine._answer_starts is 'Explains the starts that created no workflow.';
