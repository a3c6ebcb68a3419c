-- Declare executors dead: the lease is past, or the session is gone and was not back within a second.
-- Locks: the executor rows (skipping locked ones: a heartbeat is under way). Returns how many.
--
-- A lease runs from the last heartbeat or from the start of the server, whichever is later, so that every process
-- has time to come back after a restart of the server.
create or replace function pyengine._reap_executors()
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_now timestamptz := pyengine.now();
    v_dead record;
    v_count int := 0;
begin
    for v_dead in
        select e.executor_id, e.session_lost_at,
            greatest(e.heartbeat_at, pg_postmaster_start_time()) + e.lease_duration < v_now as is_expired
        from pyengine.executors e
        where e.finished_at is null and not e.work_is_returned
            and (greatest(e.heartbeat_at, pg_postmaster_start_time()) + e.lease_duration < v_now
                or pyengine._session_is_gone(e.session_pid, e.session_at))
            and (e.session_lost_at is null or e.session_lost_at < v_now - interval '1 second'
                or greatest(e.heartbeat_at, pg_postmaster_start_time()) + e.lease_duration < v_now)
        order by e.executor_id
        for no key update skip locked
    loop
        if v_dead.is_expired or v_dead.session_lost_at is not null then
            update pyengine.executors e
            set finished_at = v_now,
                finish_reason = case when v_dead.is_expired then 'lease expired' else 'session lost' end
            where e.executor_id = v_dead.executor_id;
            v_count := v_count + 1;
        else
            update pyengine.executors e set session_lost_at = v_now where e.executor_id = v_dead.executor_id;
        end if;
    end loop;
    return v_count;
end
$$;

comment on function pyengine._reap_executors is 'Declares executors dead whose lease is past or whose session stayed away; returns how many.';
