-- Change when a delayed workflow becomes claimable: after delay_ms from now, or at delayed_until_ms (since 1970).
-- A workflow that is not delayed is left alone. Locks: the workflow row (no key update).
create or replace function pyengine.set_workflow_delay(
    workflow_id text,
    delay_ms double precision default null,
    delayed_until_ms bigint default null
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    if num_nonnulls(set_workflow_delay.delay_ms, set_workflow_delay.delayed_until_ms) <> 1
        or set_workflow_delay.delay_ms < 0 then
        raise exception using errcode = 'PE400',
            message = 'set_workflow_delay needs exactly one of delay_ms (not negative) and delayed_until_ms';
    end if;
    update pyengine.workflows w
    set delayed_until = case
            when set_workflow_delay.delayed_until_ms is not null
            then to_timestamp(set_workflow_delay.delayed_until_ms / 1000.0)
            else pyengine.now() + make_interval(secs => set_workflow_delay.delay_ms / 1000) end,
        updated_at = pyengine.now()
    where w.workflow_id = set_workflow_delay.workflow_id and w.status = 'DELAYED';
    if found then
        perform pyengine._wake(array[pyengine.wait_key('work', w.queue_name)])
        from pyengine.workflows w
        where w.workflow_id = set_workflow_delay.workflow_id;
    end if;
end
$$;

comment on function pyengine.set_workflow_delay is 'Changes when a delayed workflow becomes claimable; a workflow that is not delayed is left alone. Role: client.';
