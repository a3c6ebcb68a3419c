-- Facts about a workflow that is not to be claimed yet.
create or replace function pyengine._explain_delay(workflow pyengine.workflows)
returns setof pyengine.fact
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_workflow pyengine.workflows := _explain_delay.workflow;
    v_left text := format('%s (%s)', pyengine._moment(v_workflow.delayed_until),
        pyengine._span(v_workflow.delayed_until - pyengine.now()));
begin
    return query
    select case when v_workflow.delayed_until <= pyengine.now() then 'delay_over'
            when v_workflow.attempt_count > 0 then 'backoff'
            when v_workflow.debounce_until is not null then 'debounced' else 'delayed' end,
        case when v_workflow.delayed_until <= pyengine.now()
                then 'Its delay is over: the next process that claims work makes it claimable.'
            when v_workflow.attempt_count > 0
                then format('It has had %s that ended with the death of their process, so the next one is put off until %s.',
                    pyengine._counted(v_workflow.attempt_count, 'attempt'), v_left)
            when v_workflow.debounce_until is not null
                then format('It is debounced: it is put off until %s, and further with each call that has its key.', v_left)
            else format('It is delayed until %s.', v_left) end,
        json_build_object('delayed_until', v_workflow.delayed_until, 'attempt_count', v_workflow.attempt_count,
            'max_attempts', v_workflow.max_attempts);
end
$$;

comment on function pyengine._explain_delay is 'Facts about a workflow that is not to be claimed yet.';
