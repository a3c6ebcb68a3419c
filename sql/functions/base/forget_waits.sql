-- Take back waits that came true or were given up.
create or replace function pyengine.forget_waits(wait_keys bigint[], channel text)
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
    delete from pyengine.waiters x
    where x.wait_key = any (forget_waits.wait_keys) and x.channel = forget_waits.channel;
end
$$;

comment on function pyengine.forget_waits is 'Removes the waits of a channel for the given keys. Role: client.';
