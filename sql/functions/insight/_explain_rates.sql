-- Facts about rate limits of a queue that are used up, and when the next start may follow.
create or replace function pyengine._explain_rates(workflow pyengine.workflows, queue pyengine.queues)
returns setof pyengine.fact
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_workflow pyengine.workflows := _explain_rates.workflow;
    v_queue pyengine.queues := _explain_rates.queue;
begin
    return query
    select l.code,
        format('The %s of queue %s is used up%s: %s of %s starts within %s. Its window opens at %s (in %s).', l.code,
            v_queue.queue_name, ' for key ' || l.key, s.starts, l.allowed, pyengine._span(l.period),
            pyengine._moment(s.opens_at), pyengine._span(s.opens_at - pyengine.now())),
        json_build_object('queue_name', v_queue.queue_name, 'limit', l.allowed, 'partition_key', l.key,
            'period_seconds', extract(epoch from l.period), 'opens_at', s.opens_at)
    from (values
        ('limiter', v_queue.limiter_limit, v_queue.limiter_period, null),
        ('partition_limiter', v_queue.partition_limiter_limit, v_queue.partition_limiter_period, v_workflow.partition_key)
    ) l (code, allowed, period, key)
    cross join lateral (
        select sum(t.start_count) as starts, min(t.started_at) + l.period as opens_at
        from pyengine.queue_starts t
        where t.queue_name = v_queue.queue_name and t.partition_key is not distinct from l.key
            and t.started_at > greatest(pyengine.now(), v_queue.last_started_at) - l.period
    ) s
    where s.starts >= l.allowed and (l.code = 'limiter' or l.key is not null);
end
$$;

comment on function pyengine._explain_rates is 'Facts about rate limits that are used up.';
