-- The deadline of a durable wait, as the recorded step "DBOS.sleep" of the waiting workflow: fixed at the first call.
-- Returns the milliseconds that are left, at least 0. The caller holds the workflow's lease. A wait of a hundred years is
-- as good as any longer one, and the calendar can hold it.
create or replace function pyengine._wait_deadline(
    workflow_id text,
    attempt int,
    step_id int,
    timeout_ms double precision
)
returns double precision
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_until timestamptz;
begin
    select s.completed_at
    into v_until
    from pyengine.steps s
    where s.workflow_id = _wait_deadline.workflow_id and s.step_id = _wait_deadline.step_id;
    if not found then
        v_until := v_now + make_interval(secs => least(greatest(_wait_deadline.timeout_ms, 0), 3155760000000) / 1000);
        insert into pyengine.steps (
            workflow_id, step_id, name, attempt, started_at, completed_at, serialization, output
        ) values (
            _wait_deadline.workflow_id, _wait_deadline.step_id, 'DBOS.sleep', _wait_deadline.attempt, v_now, v_until,
            'json', to_json(extract(epoch from v_until)::double precision)
        );
    end if;
    return greatest(extract(epoch from v_until - v_now) * 1000, 0);
end
$$;

comment on function pyengine._wait_deadline is 'Milliseconds left of a durable wait, whose end is recorded as a step at the first call.';
