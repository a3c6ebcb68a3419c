-- A durable sleep: the wake time is recorded as a step at the first call; later calls say what is left.
-- Who sleeps waits for it and calls again: only the database's clock ends a sleep. Locks: the workflow row (no key update).
create or replace function pyengine.sleep_until(
    workflow_id text,
    lease_token uuid,
    step_id int,
    duration_ms double precision,
    channel text default null
)
returns double precision
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_attempt int := pyengine._hold_lease(sleep_until.workflow_id, sleep_until.lease_token);
    v_left double precision := pyengine._wait_deadline(
        sleep_until.workflow_id, v_attempt, sleep_until.step_id, sleep_until.duration_ms);
begin
    if v_left > 0 and sleep_until.channel is not null then
        perform pyengine._await_keys(
            array[pyengine.wait_key('result', sleep_until.workflow_id)], sleep_until.channel);
    end if;
    return v_left;
end
$$;

comment on function pyengine.sleep_until is 'Begins or continues a durable sleep; returns the milliseconds that are left. Raises PE001, PE002 or PE404 when the run may not go on. Role: worker.';
