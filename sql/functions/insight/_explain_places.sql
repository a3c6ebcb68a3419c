-- Facts about the limits on how much of a queue runs at once that are reached, and who holds the places.
create or replace function pyengine._explain_places(
    workflow pyengine.workflows,
    queue pyengine.queues,
    running pyengine.workflows[]
)
returns setof pyengine.fact
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_workflow pyengine.workflows := _explain_places.workflow;
    v_queue pyengine.queues := _explain_places.queue;
    v_alike pyengine.workflows[] := array(
        select r from unnest(_explain_places.running) r where r.partition_key = v_workflow.partition_key);
    v_serial pyengine.workflows[] := array(select r from unnest(v_alike) r where r.is_serial);
begin
    return query
    select l.code,
        format('%s %s of %s places are taken, by %s%s.', l.what, cardinality(l.holders), l.places, h.named,
            case when cardinality(l.holders) > 5 then ' …' end),
        json_build_object('queue_name', v_queue.queue_name, 'limit', l.places, 'running', cardinality(l.holders),
            'partition_key', case when l.code <> 'concurrency' then v_workflow.partition_key end, 'workflow_ids', h.ids)
    from (values
        ('concurrency', format('The concurrency of queue %s is used up:', v_queue.queue_name), v_queue.concurrency,
            _explain_places.running),
        ('partition_concurrency', format('The partition_concurrency of queue %s is used up for key %s:', v_queue.queue_name,
            v_workflow.partition_key), v_queue.partition_concurrency, v_alike),
        ('serial', format('Workflows with its key %s run one at a time:', v_workflow.partition_key),
            case when v_workflow.is_serial then 1 end, v_serial)
    ) l (code, what, places, holders)
    cross join lateral (
        select array_agg(r.workflow_id) as ids,
            string_agg(format('%s (%s)', r.workflow_id, case when r.lease_token is null then 'hibernates'
                else 'in ' || r.executor_name end), ', ') as named
        from unnest(l.holders[1:5]) r
    ) h
    where cardinality(l.holders) >= l.places;

    return query
    select 'worker_concurrency', format('The worker_concurrency of queue %s (%s) is used up in %s, which runs %s.',
            v_queue.queue_name, v_queue.worker_concurrency, c.executor_name, c.n),
        json_build_object('queue_name', v_queue.queue_name, 'limit', v_queue.worker_concurrency,
            'executor_name', c.executor_name, 'running', c.n)
    from (
        select r.executor_id, min(r.executor_name) as executor_name, count(*) as n
        from unnest(_explain_places.running) r
        where r.executor_id is not null
        group by r.executor_id
    ) c
    where c.n >= v_queue.worker_concurrency
    order by c.executor_id
    limit 5;
end
$$;

comment on function pyengine._explain_places is 'Facts about limits on what runs at once that are reached.';
