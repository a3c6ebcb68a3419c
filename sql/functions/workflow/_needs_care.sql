-- Whether any of these starts may have a parent, a throttle or a queue with a depth limit. It may say so too often.
create or replace function pyengine._needs_care(requests json, common json)
returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    v_limited_queues text[] := array(select q.queue_name from pyengine.queues q where q.max_depth is not null);
    v_document json;
begin
    foreach v_document in array array[_needs_care.common, _needs_care.requests] loop
        if pyengine._may_have_field(v_document, 'parent_workflow_id')
            or pyengine._may_have_field(v_document, 'throttle_key')
        then
            return true;
        end if;
    end loop;
    return cardinality(v_limited_queues) > 0 and exists (
        select from pyengine._start_requests(_needs_care.requests,
            json_populate_record(null::pyengine.start_request, coalesce(_needs_care.common, '{}'))) r
        where r.queue_name = any (v_limited_queues)
    );
end
$$;

comment on function pyengine._needs_care is 'Whether starts need a look at parents, throttles or depth limits.';
