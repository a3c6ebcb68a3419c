-- pyengine: concurrently
-- What was started since some time is searched for among what waits as well: there few have been started, so they get an
-- index of their own. A workflow is in one of the two, so it costs nothing.

-- For: what waits for its first run, by age.
drop index pyengine.workflows_waiting_idx;
create index workflows_waiting_idx on pyengine.workflows (created_at)
    where finished_at is null and lease_token is null and started_at is null;
-- For: what hibernates or waits to be run again, by age.
create index workflows_paused_idx on pyengine.workflows (created_at)
    where finished_at is null and lease_token is null and started_at is not null;
