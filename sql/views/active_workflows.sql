-- Workflows that have not ended, counted. Each status is read by the partial index that holds it, so that the cost
-- grows with what waits and runs, and not with the history.
create or replace view pyengine.active_workflows as
select a.application_name, a.name, a.queue_name, a.status, count(*) as workflow_count, min(a.created_at) as oldest_created_at
from (
    select w.application_name, w.name, w.queue_name, w.status, w.created_at
    from pyengine.workflows w
    where w.status = 'ENQUEUED' and w.partition_key is null
    union all
    select w.application_name, w.name, w.queue_name, w.status, w.created_at
    from pyengine.workflows w
    where w.status = 'ENQUEUED' and w.partition_key is not null
    union all
    select w.application_name, w.name, w.queue_name, w.status, w.created_at
    from pyengine.workflows w
    where w.status = 'DELAYED'
    union all
    select w.application_name, w.name, w.queue_name,
        case when w.lease_token is null then 'HIBERNATED' else w.status end, w.created_at
    from pyengine.workflows w
    where w.status = 'PENDING'
) a
group by a.application_name, a.name, a.queue_name, a.status;

comment on view pyengine.active_workflows is 'How many workflows have not ended, and the age of the oldest, by application, function, queue and status; PENDING ones that hibernate are HIBERNATED here. Role: observer.';
