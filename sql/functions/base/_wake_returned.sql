-- Notify those who wait for work of queues to which work was given back in its old place, where executors with a bookmark
-- would overlook it for a while: their bookmarks are removed.
-- Locks: the bookmarks, then as _wake.
create or replace function pyengine._wake_returned(wait_keys bigint[])
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    perform pyengine._remove_bookmarks(_wake_returned.wait_keys);
    perform pyengine._wake(_wake_returned.wait_keys);
end
$$;

comment on function pyengine._wake_returned is 'Notifies about work that was given back in its old place.';
