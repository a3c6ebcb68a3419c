-- Facts about a workflow that has ended.
create or replace function pyengine._explain_end(workflow pyengine.workflows)
returns setof pyengine.fact
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_workflow pyengine.workflows := _explain_end.workflow;
    v_ended text := format('at %s, %s ago', pyengine._moment(v_workflow.finished_at),
        pyengine._span(pyengine.now() - v_workflow.finished_at));
begin
    return query
    select case v_workflow.status when 'SUCCESS' then 'succeeded' when 'ERROR' then 'failed'
            when 'CANCELLED' then 'cancelled' else 'dead_lettered' end,
        case v_workflow.status
            when 'SUCCESS' then format('It succeeded %s', v_ended)
            when 'ERROR' then format('It failed %s: its output is an error', v_ended)
            when 'CANCELLED' then format('It was cancelled %s%s', v_ended,
                case when v_workflow.deadline_at <= v_workflow.finished_at
                    then format(', after its deadline (%s)', pyengine._moment(v_workflow.deadline_at)) end)
            else format('It was dead-lettered %s: of %s attempts, %s ended with the death of their process, the last in '
                || 'executor %s', v_ended, v_workflow.max_attempts, v_workflow.attempt_count,
                coalesce(v_workflow.executor_name, 'unknown')) end
        || case when v_workflow.status in ('CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
            then '. resume lets it run again behind its last step, with fresh attempts.'
            when v_workflow.status = 'ERROR' then '. fork runs a copy of it from any step.' else '.' end,
        json_build_object('finished_at', v_workflow.finished_at, 'attempt_count', v_workflow.attempt_count,
            'max_attempts', v_workflow.max_attempts, 'executor_name', v_workflow.executor_name,
            'run_seconds', extract(epoch from v_workflow.finished_at - v_workflow.started_at));
end
$$;

comment on function pyengine._explain_end is 'Facts about a workflow that has ended.';
