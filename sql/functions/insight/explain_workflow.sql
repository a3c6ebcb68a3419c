-- Why a workflow is where it is: a paragraph for people, and the facts of it for programs. It looks and changes nothing.
create or replace function pyengine.explain_workflow(workflow_id text)
returns setof pyengine.explanation
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_workflow pyengine.workflows;
    v_facts pyengine.fact[];
begin
    select w.* into v_workflow from pyengine.workflows w where w.workflow_id = explain_workflow.workflow_id;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no workflow %s', explain_workflow.workflow_id),
            detail = json_build_object('workflow_id', explain_workflow.workflow_id)::text;
    end if;
    if v_workflow.finished_at is not null then
        v_facts := array(select f from pyengine._explain_end(v_workflow) f);
    elsif v_workflow.status = 'PENDING' then
        v_facts := array(
            select f from pyengine._explain_owner(v_workflow) f where v_workflow.lease_token is not null
        ) || array(select f from pyengine._explain_waits(v_workflow) f);
    else
        v_facts := array(select f from pyengine._explain_delay(v_workflow) f where v_workflow.status = 'DELAYED')
            || array(select f from pyengine._explain_queue(v_workflow) f);
    end if;
    if v_workflow.finished_at is null and v_workflow.lease_token is null then
        v_facts := v_facts || array(select f from pyengine._explain_processes(v_workflow) f)
            || array(select f from pyengine._explain_rest(v_workflow, v_facts) f);
    end if;
    if v_workflow.finished_at is null and v_workflow.deadline_at is not null then
        v_facts := v_facts || row('deadline',
            case when v_workflow.deadline_at <= pyengine.now()
                then format('Its deadline passed %s ago: any live process cancels it within a second.',
                    pyengine._span(pyengine.now() - v_workflow.deadline_at))
                else format('Its deadline is %s.', pyengine._moment(v_workflow.deadline_at)) end,
            json_build_object('deadline_at', v_workflow.deadline_at))::pyengine.fact;
    end if;
    return query
    select v_workflow.workflow_id, v_workflow.status,
        format('Workflow %s (%s) is %s. %s', v_workflow.workflow_id, v_workflow.name, v_workflow.status,
            string_agg(f.sentence, ' ' order by f.n)),
        json_agg(json_build_object('code', f.code, 'sentence', f.sentence, 'detail', f.detail) order by f.n)
    from unnest(v_facts) with ordinality f (code, sentence, detail, n);
end
$$;

comment on function pyengine.explain_workflow is 'Why a workflow is where it is: a paragraph for people, and its facts for programs. Raises PE404. Role: observer.';
