-- What a wait that is not over yet comes to: how long it may still take, or the timeout, which is recorded as the step.
-- The caller holds the workflow's lease; channel is woken by the wait_key, and when the waiting workflow is cancelled.
create or replace function pyengine._keep_waiting(
    workflow_id text,
    attempt int,
    step_id int,
    name text,
    timeout_ms double precision,
    wait_key bigint,
    channel text
)
returns setof pyengine.receipt
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_left double precision := pyengine._wait_deadline(
        _keep_waiting.workflow_id, _keep_waiting.attempt, _keep_waiting.step_id + 1, _keep_waiting.timeout_ms);
begin
    if v_left <= 0 then
        perform pyengine._finish_wait(_keep_waiting.workflow_id, _keep_waiting.attempt, _keep_waiting.step_id,
            _keep_waiting.name, 'json', null);
        return query select true, 'json', null::json, null::json, 0.0::double precision;
        return;
    end if;
    if _keep_waiting.channel is not null then
        perform pyengine._await_keys(
            array[_keep_waiting.wait_key, pyengine.wait_key('result', _keep_waiting.workflow_id)], _keep_waiting.channel);
    end if;
    return query select false, null::text, null::json, null::json, v_left;
end
$$;

comment on function pyengine._keep_waiting is 'How long a durable wait may still take, or its timeout, which is recorded as a step.';
