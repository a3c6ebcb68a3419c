-- Let all executors look from the front of queues again, given the keys of their work.
-- Locks: the bookmarks (in the order of their keys).
create or replace function pyengine._remove_bookmarks(wait_keys bigint[])
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
begin
    delete from pyengine.bookmarks b
    where (b.executor_id, b.queue_name) in (
        select o.executor_id, o.queue_name
        from pyengine.bookmarks o
        where o.wait_key = any (_remove_bookmarks.wait_keys)
        order by o.executor_id, o.queue_name
        for update
    );
end
$$;

comment on function pyengine._remove_bookmarks is 'Removes the bookmarks of queues.';
