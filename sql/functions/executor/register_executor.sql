-- Register a process as an executor and return its new id.
-- Predecessors of the same name whose session is gone are replaced: their work is given back at once, so that
-- restarting a crashed program resumes it immediately. So is an earlier registration of the same process, which its
-- channel tells: the reply to it was lost.
create or replace function pyengine.register_executor(
    name text,
    application_name text,
    application_version text,
    version_is_pinned boolean,
    functions text[],
    channel text,
    lease_seconds double precision,
    session_pid int default null,
    host text default null,
    process_id int default null,
    runs_sql_workflows boolean default false,
    attempt_limits json default '{}'
)
returns bigint
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_now timestamptz := pyengine.now();
    v_executor_id bigint;
begin
    perform pyengine._check_executor(
        register_executor.name, register_executor.functions, register_executor.attempt_limits,
        register_executor.lease_seconds);
    perform pyengine._check_channel(register_executor.channel);
    perform pyengine.register_application_version(
        application_name => register_executor.application_name,
        version_name => register_executor.application_version,
        is_pinned => register_executor.version_is_pinned);
    if register_executor.runs_sql_workflows then
        -- Who registers one of them at this moment sees this process, or this process sees that workflow.
        lock table pyengine.sql_workflows in share mode;
    end if;
    insert into pyengine.executors as e (
        name, application_name, application_version, version_is_pinned, functions, host, process_id, channel,
        lease_duration, started_at, heartbeat_at, session_pid, session_at, runs_sql_workflows,
        attempt_limits
    ) values (
        register_executor.name, register_executor.application_name, register_executor.application_version,
        register_executor.version_is_pinned, pyengine._with_sql_workflows(
            register_executor.functions, register_executor.application_name, register_executor.runs_sql_workflows),
        register_executor.host,
        register_executor.process_id, register_executor.channel,
        make_interval(secs => register_executor.lease_seconds), v_now, v_now, register_executor.session_pid,
        case when register_executor.session_pid is not null then v_now end, register_executor.runs_sql_workflows,
        coalesce(register_executor.attempt_limits, '{}')::jsonb
    )
    returning e.executor_id into v_executor_id;

    update pyengine.executors e
    set finished_at = v_now, finish_reason = 'replaced'
    where e.executor_id in (
        select p.executor_id
        from pyengine.executors p
        where p.finished_at is null and not p.work_is_returned and p.executor_id <> v_executor_id
            and (p.channel = register_executor.channel
                or (p.name = register_executor.name and p.application_name = register_executor.application_name
                    and pyengine._session_is_gone(p.session_pid, p.session_at)))
        order by p.executor_id
        for no key update skip locked
    );
    perform pyengine._return_work();
    -- What became overdue while no process lived must not be claimed before the first tick.
    perform pyengine._cancel_overdue(1000);
    return v_executor_id;
end
$$;

comment on function pyengine.register_executor is 'Registers a process as an executor, takes over from dead predecessors of its name, and returns the new executor id. attempt_limits has, by the key of a function, how many runs its workflows have that were started without max_attempts: null is any number, and 101 those not named there. Role: worker.';
