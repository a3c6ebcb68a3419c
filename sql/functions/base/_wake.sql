-- Notify those, and only those, who said that they wait for one of these keys, and make the hibernated workflows due
-- that wait for one of them. Called after every lock on a workflow that the transaction takes. It has the rights and the
-- settings of its callers: to have its own would cost more than what it does.
create or replace function pyengine._wake(wait_keys bigint[])
returns void
language plpgsql
volatile
as $$
begin
    -- Nearly always nobody waits; to see that takes one statement.
    if not exists (
        select from pyengine.waiters x where x.wait_key = any (_wake.wait_keys)
        union all
        select from pyengine.hibernations h where h.kind <> 'time' and h.wait_key = any (_wake.wait_keys)
    ) then
        return;
    end if;
    perform pg_notify(x.channel, x.wait_key::text)
    from pyengine.waiters x
    where x.wait_key = any (_wake.wait_keys);
    if exists (
        select 1 from pyengine.hibernations h where h.kind <> 'time' and h.wait_key = any (_wake.wait_keys)
    ) then
        perform pyengine._rouse(_wake.wait_keys);
    end if;
end
$$;

comment on function pyengine._wake is 'Notifies the channels that wait for the given keys, and makes the hibernated workflows that wait for them due.';
