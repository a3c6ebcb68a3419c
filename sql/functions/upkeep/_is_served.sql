-- Whether some process lives that does the maintenance.
create or replace function pyengine._is_served()
returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return exists (
        select 1
        from pyengine.executors e
        where e.finished_at is null and not e.work_is_returned
            and e.heartbeat_at + least(e.lease_duration, interval '15 seconds') > pyengine.now()
            and e.started_at < pyengine.now() - interval '5 seconds'
    );
end
$$;

comment on function pyengine._is_served is 'Whether some process lives that does the maintenance.';
