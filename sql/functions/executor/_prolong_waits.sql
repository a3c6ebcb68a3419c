-- Keep an executor's waits for work alive. Locks: the rows (in key order, skipping locked ones).
create or replace function pyengine._prolong_waits(executor pyengine.executors)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    update pyengine.waiters x
    set expires_at = pyengine.now() + interval '1 minute'
    where x.channel = (_prolong_waits.executor).channel and x.wait_key in (
        select d.wait_key
        from pyengine.waiters d
        where d.wait_key = any (pyengine._work_keys((_prolong_waits.executor).application_name, null))
            and d.channel = (_prolong_waits.executor).channel
            and d.expires_at < pyengine.now() + interval '30 seconds'
        order by d.wait_key
        for no key update skip locked
    );
end
$$;

comment on function pyengine._prolong_waits is 'Keeps the waits of an executor for work alive.';
