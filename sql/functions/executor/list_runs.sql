-- The runs that an executor owns and that began some time ago: a process compares them with what it runs, and
-- releases those that it lost sight of. A resumption after a hibernation leaves started_at, and sets updated_at.
create or replace function pyengine.list_runs(executor_id bigint, older_than_seconds double precision default 0)
returns setof pyengine.run_lease
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return query
    select w.workflow_id::text, w.lease_token
    from pyengine.workflows w
    where w.executor_id = list_runs.executor_id and w.status = 'PENDING' and w.lease_token is not null
        and greatest(w.started_at, w.updated_at)
            <= pyengine.now() - make_interval(secs => list_runs.older_than_seconds);
end
$$;

comment on function pyengine.list_runs is 'The runs that an executor owns, with their leases, if they began at least so many seconds ago. Role: worker.';
