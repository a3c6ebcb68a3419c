-- Read and check a call of debounce_workflow. What the start adds to the caller's document is appended to its text: the
-- last of two fields with one name counts, and the inputs stay as they are written.
create or replace function pyengine._debounce_call(
    request json,
    debounce_key text,
    period_ms double precision,
    timeout_ms double precision
)
returns pyengine.debounce_call
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
    v_request record;
    v_call pyengine.debounce_call;
begin
    select r.* into v_request from pyengine._start_requests(json_build_array(_debounce_call.request)) r;
    v_call.deduplication_id := v_request.name || '-' || _debounce_call.debounce_key;
    if v_request.refusal is not null then
        raise exception using errcode = v_request.refusal, message = (
            select a.message
            from pyengine._answer_starts(json_build_array(_debounce_call.request), '{}'::text[], '{}'::int[]) a
        );
    elsif v_call.deduplication_id is null or octet_length(v_call.deduplication_id) > 512
        or num_nonnulls(v_request.lease_token, v_request.partition_key, v_request.priority, v_request.delay_ms,
            v_request.deduplication_id, _debounce_call.request ->> 'throttle_key') > 0 then
        raise exception using errcode = 'PE400',
            message = 'a debounced workflow needs a key, which has at most 511 bytes together with its name; it has no '
                'lease_token, partition_key, priority, delay_ms, deduplication_id and throttle_key of its own';
    elsif _debounce_call.period_ms is null or _debounce_call.period_ms < 0 or _debounce_call.timeout_ms <= 0
        or greatest(_debounce_call.period_ms, _debounce_call.timeout_ms) > 3155760000000 then
        raise exception using errcode = 'PE400',
            message = 'the period of a debounced workflow must not be negative, its timeout must be more than 0, '
                'and both at most a hundred years';
    elsif v_request.queue_name is not null and not exists (
        select 1 from pyengine.queues q where q.queue_name = v_request.queue_name
    ) then
        raise exception using errcode = 'PE404',
            message = format('there is no queue %s', v_request.queue_name),
            detail = json_build_object('queue_name', v_request.queue_name)::text;
    end if;

    v_call.workflow_id := v_request.workflow_id;
    v_call.name := v_request.name;
    v_call.class_name := v_request.class_name;
    v_call.config_name := v_request.config_name;
    v_call.application_name := v_request.application_name;
    v_call.application_version := v_request.application_version;
    v_call.version_is_pinned := coalesce(v_request.version_is_pinned, false);
    v_call.max_attempts := v_request.max_attempts;
    v_call.queue_name := v_request.queue_name;
    v_call.parent_workflow_id := v_request.parent_workflow_id;
    v_call.parent_lease_token := v_request.parent_lease_token;
    v_call.start_step_id := v_request.parent_step_id;
    v_call.authenticated_user := v_request.authenticated_user;
    v_call.assumed_role := v_request.assumed_role;
    if v_request.authenticated_roles is not null then
        v_call.authenticated_roles := array(select json_array_elements_text(v_request.authenticated_roles));
    end if;
    v_call.serialization := v_request.serialization;
    v_call.inputs := v_request.inputs;
    v_call.period := make_interval(secs => _debounce_call.period_ms / 1000);
    v_call.debounce_until := coalesce(v_now + make_interval(secs => _debounce_call.timeout_ms / 1000), 'infinity');
    v_call.requests := format('[%s,"deduplication_id":%s,"delay_ms":%s,"timeout_ms":%s}]',
        left(rtrim(_debounce_call.request::text, E' \t\n\r'), -1), to_json(v_call.deduplication_id),
        least(_debounce_call.period_ms, _debounce_call.timeout_ms), coalesce(v_request.timeout_ms, 0))::json;
    return v_call;
end
$$;

comment on function pyengine._debounce_call is 'Reads and checks a call of debounce_workflow; raises PE400, PE403, PE404 or PE413.';
