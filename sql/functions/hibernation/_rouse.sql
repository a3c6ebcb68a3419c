-- Something came true: the hibernated workflows that wait for it are due now, and who waits for work is notified.
-- Locks: the rows of hibernations (no key update, in key order), after every workflow that the transaction locks.
create or replace function pyengine._rouse(wait_keys bigint[])
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := pyengine.now();
    v_work_keys bigint[];
begin
    with waiting as materialized (
        select h.workflow_id, h.wait_key
        from pyengine.hibernations h
        where h.kind <> 'time' and h.wait_key = any (_rouse.wait_keys) and (h.due_at is null or h.due_at > v_now)
        order by h.workflow_id, h.wait_key
        for no key update
    ), due as (
        update pyengine.hibernations h
        set due_at = v_now
        from waiting x
        where h.workflow_id = x.workflow_id and h.wait_key = x.wait_key
        returning h.queue_name
    )
    select array_agg(distinct pyengine.wait_key('work', d.queue_name)) into v_work_keys from due d;

    perform pg_notify(x.channel, x.wait_key::text)
    from pyengine.waiters x
    where x.wait_key = any (v_work_keys);
end
$$;

comment on function pyengine._rouse is 'Makes the hibernated workflows that wait for these keys due.';
