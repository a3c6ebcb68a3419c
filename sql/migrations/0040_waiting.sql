-- pyengine: concurrently
-- A claim enters a workflow into the index of what runs, and its end into those of what has ended: no need that it stays in
-- that of what waits. This saves 75 bytes of each claim.

-- For: what waits to be claimed, is delayed or hibernates, by age.
drop index pyengine.workflows_open_idx;
create index workflows_waiting_idx on pyengine.workflows (created_at) where finished_at is null and lease_token is null;
