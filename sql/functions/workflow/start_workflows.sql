-- Start workflows, each under its own id: as PENDING with a lease, or as ENQUEUED or DELAYED for others to claim.
-- A child start names its parent's lease, and is recorded as a step of the parent in the same commit.
-- Locks: the rows of queues with a depth limit (in name order), the throttle keys (in their order), the parents (no key update, in id order), then the
-- new rows (in id order).
--
-- The fields of `common` hold for each start that does not give them: alike ones are sent and read in half the time.
--
-- Refuses with PE003 under an executor that is no longer registered: whoever was declared dead registers anew first.
-- Answers only for starts that created nothing. A repeated call with the same lease token is a repeated call,
-- not a second start, so a lost reply is harmless. A start alone, given as an object, takes the short way if it has no
-- parent, no throttle, and no queue with a depth limit: it costs half of what the statement for a batch does.
create or replace function pyengine.start_workflows(
    requests json,
    executor_id bigint default null,
    common json default null
)
returns setof pyengine.start_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    v_executor_name text;
    v_start pyengine.start_request;
begin
    if json_typeof(start_workflows.common) <> 'object' then
        raise exception using errcode = 'PE400',
            message = format('common is a json %s: give one document', json_typeof(start_workflows.common));
    end if;
    if start_workflows.executor_id is not null then
        select e.name
        into v_executor_name
        from pyengine.executors e
        where e.executor_id = start_workflows.executor_id and e.finished_at is null;
        if not found then
            return query
            select r.item, 'PE003', format('executor %s is no longer registered', start_workflows.executor_id),
                null::text, null::text, null::text, null::text, null::text, null::text
            from pyengine._start_requests(start_workflows.requests) r;
            return;
        end if;
    elsif (pyengine._may_have_field(start_workflows.requests, 'lease_token')
            or coalesce(pyengine._may_have_field(start_workflows.common, 'lease_token'), false))
        and exists (
            select
            from pyengine._start_requests(pyengine._with_common(start_workflows.requests, start_workflows.common)) r
            where r.lease_token is not null
        )
    then
        raise exception using errcode = 'PE400',
            message = 'executor_id is missing: only a registered executor starts workflows under a lease_token';
    end if;

    if start_workflows.common is null and json_typeof(start_workflows.requests) = 'object'
        and not pyengine._may_have_field(start_workflows.requests, 'throttle_key')
    then
        v_start := json_populate_record(null::pyengine.start_request, start_workflows.requests);
        if v_start.parent_workflow_id is null and pyengine._start_refusal(v_start) is null
            and pyengine._start_alone(v_start, start_workflows.executor_id, v_executor_name)
        then
            return;
        end if;
    end if;
    return query
    select a.*
    from pyengine._start_batch(
        start_workflows.requests, start_workflows.common, start_workflows.executor_id, v_executor_name) a;
end
$$;

comment on function pyengine.start_workflows is 'Starts (with a lease) or enqueues (without) a json array of workflows, or one, in one commit; answers only for those that it did not create. Role: client.';
