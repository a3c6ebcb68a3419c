-- Processes that run workflows, with what each runs now: those that live or still own work, or all, newest first.
create or replace function pyengine.list_executors(
    application_name text default null,
    include_finished boolean default false,
    row_limit int default null
)
returns setof pyengine.executor_state
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
begin
    return query
    select e.executor_id, e.name, e.application_name, e.application_version, e.version_is_pinned,
        pyengine._executor_state(e), e.host, e.process_id, e.started_at, e.heartbeat_at,
        extract(epoch from e.lease_duration)::double precision, e.session_pid is not null, e.finished_at, e.functions,
        (select count(*) from pyengine.workflows w where w.status = 'PENDING' and w.executor_id = e.executor_id)
    from pyengine.executors e
    where (list_executors.include_finished or not e.work_is_returned)
        and (list_executors.include_finished or e.finished_at is null or exists (
            select 1 from pyengine.workflows w where w.status = 'PENDING' and w.executor_id = e.executor_id))
        and (list_executors.application_name is null or e.application_name = list_executors.application_name)
    order by e.executor_id desc
    limit list_executors.row_limit;
end
$$;

comment on function pyengine.list_executors is 'Processes that run workflows (include_finished: and those that ended within the last day), newest first, with what each runs now. Role: observer.';
