-- Facts about the process that runs a workflow.
create or replace function pyengine._explain_owner(workflow pyengine.workflows)
returns setof pyengine.fact
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_workflow pyengine.workflows := _explain_owner.workflow;
    v_now timestamptz := pyengine.now();
    v_executor pyengine.executors;
    v_who text;
    v_state text;
begin
    select e.* into v_executor from pyengine.executors e where e.executor_id = v_workflow.executor_id;
    v_who := format('executor %s (id %s, host %s, process %s)', v_executor.name, v_executor.executor_id,
        coalesce(v_executor.host, 'unknown'), coalesce(v_executor.process_id::text, 'unknown'));
    v_state := pyengine._executor_state(v_executor);
    return query
    select case v_state when 'live' then 'owned' when 'silent' then 'owner_silent' else 'owner_gone' end,
        case v_state
            when 'live' then format('It runs in %s since %s, in attempt %s; the last heartbeat was %s ago.', v_who,
                pyengine._span(v_now - v_workflow.started_at), v_workflow.attempt_count,
                pyengine._span(v_now - v_executor.heartbeat_at))
            when 'silent' then format('It belongs to %s, whose last heartbeat was %s ago and whose lease of %s is over: '
                || 'any live process takes its work over within seconds.', v_who,
                pyengine._span(v_now - v_executor.heartbeat_at), pyengine._span(v_executor.lease_duration))
            else format('It belonged to %s, which ended %s ago (%s): any live process gives its work back within a second.',
                v_who, pyengine._span(v_now - v_executor.finished_at), v_executor.finish_reason) end,
        json_build_object('executor_id', v_executor.executor_id, 'executor_name', v_executor.name,
            'host', v_executor.host, 'process_id', v_executor.process_id, 'heartbeat_at', v_executor.heartbeat_at,
            'attempt_count', v_workflow.attempt_count, 'state', v_state);
end
$$;

comment on function pyengine._explain_owner is 'Facts about the process that runs a workflow.';
