-- How a process stands: live, silent (its lease is over, or its session is lost, and nobody has said so yet), or why it ended.
create or replace function pyengine._executor_state(executor pyengine.executors)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return case
        when (_executor_state.executor).finished_at is not null then (_executor_state.executor).finish_reason
        when (_executor_state.executor).session_lost_at is not null
            or greatest((_executor_state.executor).heartbeat_at, pg_postmaster_start_time())
            + (_executor_state.executor).lease_duration < pyengine.now() then 'silent'
        else 'live' end;
end
$$;

comment on function pyengine._executor_state is 'Whether a process is live or silent, or why it ended.';
