-- Facts about what a workflow that has begun waits for: in hibernation, or in the memory of its process, and the
-- children that have not ended.
create or replace function pyengine._explain_waits(workflow pyengine.workflows)
returns setof pyengine.fact
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_workflow pyengine.workflows := _explain_waits.workflow;
    v_now timestamptz := pyengine.now();
begin
    return query
    select case when h.due_at <= v_now then 'due' when h.kind = 'time' then 'hibernates_until' else 'hibernates_for_' || h.kind end,
        case when h.due_at <= v_now then format('It hibernated, and its wait (for %s) is over since %s: it is to be resumed.',
                case h.kind when 'time' then 'a time' else 'the ' || h.kind end, pyengine._span(v_now - h.due_at))
            when h.kind = 'time' then format('It hibernates until %s (%s), using no process meanwhile.',
                pyengine._moment(h.due_at), pyengine._span(h.due_at - v_now))
            else format('It hibernates until %s%s.', case h.kind
                when 'result' then format('workflow %s ends', h.source_id)
                when 'message' then format('a message with topic %s arrives', coalesce(quote_literal(nullif(h.name, '')), 'none'))
                when 'event' then format('workflow %s sets the event %L', h.source_id, h.name)
                else format('workflow %s writes to the stream %L', h.source_id, h.name) end,
                ', until ' || pyengine._moment(h.due_at) || ' at the latest') end,
        json_build_object('kind', h.kind, 'source_id', h.source_id, 'name', h.name, 'due_at', h.due_at)
    from pyengine.hibernations h
    where h.workflow_id = v_workflow.workflow_id and v_workflow.lease_token is null
    order by h.due_at;

    return query
    select case when o.is_sleep then 'sleeping' else 'waiting' end,
        format('It %s until %s (%s).', case when o.is_sleep then 'sleeps' else 'waits for a message or an event, at most' end,
            pyengine._moment(o.completed_at), pyengine._span(o.completed_at - v_now)),
        json_build_object('step_id', o.step_id, 'until', o.completed_at)
    from (
        select s.step_id, s.completed_at, s.step_id = 1 or exists (
                select 1 from pyengine.steps p
                where p.workflow_id = s.workflow_id and p.step_id = s.step_id - 1) as is_sleep
        from pyengine.steps s
        where s.workflow_id = v_workflow.workflow_id and s.name = 'DBOS.sleep' and s.completed_at > v_now
        order by s.step_id desc
        limit 3
    ) o
    where v_workflow.lease_token is not null;

    return query
    select 'children', format('Not ended %s: %s%s.', case when c.n > 5 then 'are more than 5 of its children'
                when c.n = 1 then 'is its child' else format('are %s of its children', c.n) end,
            array_to_string(c.ids[1:5], ', '), case when c.n > 5 then ' …' end),
        json_build_object('workflow_ids', c.ids[1:5])
    from (
        select count(*) as n, array_agg(k.workflow_id) as ids
        from (
            select w.workflow_id from pyengine.workflows w
            where w.parent_workflow_id = v_workflow.workflow_id and w.finished_at is null
            limit 6
        ) k
    ) c
    where c.n > 0;

    return query
    select 'last_step', format('Its last recorded step is %s (%s), %s ago.', s.step_id, s.name,
            pyengine._span(v_now - s.completed_at)),
        json_build_object('step_id', s.step_id, 'name', s.name, 'completed_at', s.completed_at)
    from pyengine.steps s
    where s.workflow_id = v_workflow.workflow_id and s.completed_at <= v_now
    order by s.step_id desc
    limit 1;
    if not found then
        return query select 'no_step', 'It has not recorded a step yet.', null::json;
    end if;
end
$$;

comment on function pyengine._explain_waits is 'Facts about what a workflow that has begun waits for.';
