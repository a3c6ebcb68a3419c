-- Remove waits whose owners are gone, and old bookmarks. Locks: the rows, skipping locked ones.
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
    delete from pyengine.bookmarks b
    where (b.executor_id, b.queue_name) in (
        select d.executor_id, d.queue_name
        from pyengine.bookmarks d
        where d.expires_at < pyengine.now() - interval '1 minute'
        order by d.executor_id, d.queue_name
        for update skip locked
    );
end
$$;

comment on function pyengine._drop_expired_waits is 'Removes waits and bookmarks that have expired.';
