-- What ended within the last five minutes.
create or replace view pyengine.recent_outcomes as
select o.application_name, o.name, o.queue_name, o.status, o.workflow_count, o.per_second, o.wait_seconds, o.run_seconds
from pyengine.list_outcomes(window_seconds => 300) o;

comment on view pyengine.recent_outcomes is 'What list_outcomes says of the last 5 minutes. Role: observer.';
