-- What runs is owned by one process that lives, or is about to be given back; what hibernates waits for something.
create or replace function pyengine._verify_owners(row_limit int)
returns setof pyengine.violation
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_is_served boolean := pyengine._is_served();
begin
    return query
    select 'no orphans', w.workflow_id::text, format('it is owned by executor %s, whose work is given back already', w.executor_id)
    from pyengine.workflows w
    left join pyengine.executors e on e.executor_id = w.executor_id
    where w.status = 'PENDING' and w.executor_id is not null
        and (e.executor_id is null or e.work_is_returned
            or (v_is_served and e.finished_at < v_now - interval '1 minute'));

    return query
    select 'dead processes are noticed', null::text, format('executor %s has been silent since %s', e.executor_id, e.heartbeat_at)
    from pyengine.executors e
    where v_is_served and e.finished_at is null and not e.work_is_returned
        and greatest(e.heartbeat_at, pg_postmaster_start_time()) + e.lease_duration < v_now - interval '10 seconds';

    return query
    select 'one owner', min(w.workflow_id), format('executors %s run under one lease', array_agg(distinct w.executor_id))
    from pyengine.workflows w
    where w.status = 'PENDING' and w.executor_id is not null
    group by w.lease_token
    having count(distinct w.executor_id) > 1;

    return query
    select 'who hibernates waits for something', w.workflow_id::text, 'nothing will ever wake it'
    from (
        select o.workflow_id
        from pyengine.workflows o
        where o.status = 'PENDING' and o.executor_id is null
        limit _verify_owners.row_limit
    ) w
    where not exists (select 1 from pyengine.hibernations h where h.workflow_id = w.workflow_id);
end
$$;

comment on function pyengine._verify_owners is 'Violations of ownership.';
