-- Facts about a workflow that nobody owns and that is not held back by what the facts name: how long it has waited,
-- and whether its next claim will dead-letter it.
create or replace function pyengine._explain_rest(workflow pyengine.workflows, facts pyengine.fact[])
returns setof pyengine.fact
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_workflow pyengine.workflows := _explain_rest.workflow;
begin
    if v_workflow.status = 'ENQUEUED' and v_workflow.attempt_count >= v_workflow.max_attempts then
        return query
        select 'no_attempts', format('It has used up its attempts (%s): the next claim dead-letters it.', v_workflow.max_attempts),
            json_build_object('attempt_count', v_workflow.attempt_count, 'max_attempts', v_workflow.max_attempts);
    end if;
    if v_workflow.status = 'ENQUEUED' then
        return query
        select 'waiting_to_be_claimed', format('It was created %s ago%s%s.', pyengine._span(pyengine.now() - v_workflow.created_at),
                case when v_workflow.attempt_count > 0 then format(', has had %s', pyengine._counted(v_workflow.attempt_count, 'attempt')) end,
                case when v_workflow.queue_name is not null
                    and not exists (select 1 from unnest(_explain_rest.facts) f where f.code <> 'behind')
                    then ', and nothing in its queue holds it back' end),
            json_build_object('created_at', v_workflow.created_at, 'attempt_count', v_workflow.attempt_count);
    end if;
end
$$;

comment on function pyengine._explain_rest is 'Facts about how long a workflow has waited to be claimed.';
