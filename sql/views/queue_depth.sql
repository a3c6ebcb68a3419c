-- How much waits and runs in each queue: what active_workflows counts, a queue a row.
create or replace view pyengine.queue_depth as
select a.queue_name,
    coalesce(sum(a.workflow_count) filter (where a.status = 'ENQUEUED'), 0)::bigint as enqueued,
    coalesce(sum(a.workflow_count) filter (where a.status = 'DELAYED'), 0)::bigint as delayed,
    coalesce(sum(a.workflow_count) filter (where a.status = 'PENDING'), 0)::bigint as running,
    min(a.oldest_created_at) filter (where a.status = 'ENQUEUED') as oldest_enqueued_at,
    coalesce(sum(a.workflow_count) filter (where a.status = 'HIBERNATED'), 0)::bigint as hibernated
from pyengine.active_workflows a
where a.queue_name is not null
group by a.queue_name;

comment on view pyengine.queue_depth is 'How many workflows of each queue wait and run; hibernated ones keep their place under the global and partition limits. Role: observer.';
