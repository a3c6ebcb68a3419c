-- How much waits and runs in each queue.
create or replace view pyengine.queue_depth as
select w.queue_name,
    count(*) filter (where w.status = 'ENQUEUED') as enqueued,
    count(*) filter (where w.status = 'DELAYED') as delayed,
    count(*) filter (where w.lease_token is not null) as running,
    min(w.created_at) filter (where w.status = 'ENQUEUED') as oldest_enqueued_at,
    count(*) filter (where w.status = 'PENDING' and w.lease_token is null) as hibernated
from pyengine.workflows w
where w.status in ('ENQUEUED', 'DELAYED', 'PENDING') and w.queue_name is not null
group by w.queue_name;

comment on view pyengine.queue_depth is 'How many workflows of each queue wait and run; hibernated ones keep their place under the global and partition limits. Role: observer.';
