-- Remove waits whose owners are gone. Locks: the rows (skipping locked ones).
create or replace function pyengine._drop_expired_waits()
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from pyengine.waiters x
    where (x.wait_key, x.channel) in (
        select d.wait_key, d.channel
        from pyengine.waiters d
        where d.expires_at < pyengine.now()
        order by d.wait_key, d.channel
        limit 1000
        for update skip locked
    );
end
$$;

comment on function pyengine._drop_expired_waits is 'Removes waits that have expired.';
