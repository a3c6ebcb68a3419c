-- Facts about the queue of a workflow that waits in it: what holds its work back, and who holds the places.
create or replace function pyengine._explain_queue(workflow pyengine.workflows)
returns setof pyengine.fact
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_workflow pyengine.workflows := _explain_queue.workflow;
    v_name text := v_workflow.queue_name;
    v_queue pyengine.queues;
    v_running pyengine.workflows[];
begin
    if v_name is null then
        return;
    end if;
    select q.* into v_queue from pyengine.queues q where q.queue_name = v_name;
    if not found then
        return query select 'queue_unknown', format('Its queue %s is not registered: no process claims from it until one '
            || 'declares it.', v_name), json_build_object('queue_name', v_name);
        return;
    end if;
    if v_queue.is_paused then
        return query select 'queue_paused', format('Its queue %s is paused: resume the queue.', v_name),
            json_build_object('queue_name', v_name);
    end if;
    if v_queue.application_name <> v_workflow.application_name then
        return query select 'queue_of_another', format('Its queue %s belongs to application %s, and it to %s: no process may '
                || 'claim it.', v_name, v_queue.application_name, v_workflow.application_name),
            json_build_object('queue_name', v_name, 'application_name', v_queue.application_name);
    end if;
    v_running := pyengine._running_of_queue(v_name);
    return query select f.* from pyengine._explain_places(v_workflow, v_queue, v_running) f;
    return query select f.* from pyengine._explain_rates(v_workflow, v_queue) f;
    return query
    select 'behind', format('Before it in the queue: %s.', case when b.n > 1000 then 'more than 1000 workflows'
            else pyengine._counted(b.n, 'workflow') end),
        json_build_object('count', b.n)
    from (
        select count(*) as n
        from (
            select 1 from pyengine.workflows o
            where o.status = 'ENQUEUED' and o.queue_name = v_name and o.partition_key is not distinct from v_workflow.partition_key
                and (o.priority, o.created_at, o.workflow_id)
                    < (v_workflow.priority, v_workflow.created_at, v_workflow.workflow_id)
            limit 1001
        ) earlier
    ) b
    where b.n > 0 and v_workflow.status = 'ENQUEUED';
end
$$;

comment on function pyengine._explain_queue is 'Facts about what holds back a workflow in its queue.';
