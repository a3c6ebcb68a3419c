-- Notify those, and only those, who said that they wait for one of these keys.
create or replace function pyengine._wake(wait_keys bigint[])
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    perform pg_notify(x.channel, x.wait_key::text)
    from pyengine.waiters x
    where x.wait_key = any (_wake.wait_keys);
end
$$;

comment on function pyengine._wake is 'Notifies the channels that wait for the given keys.';
