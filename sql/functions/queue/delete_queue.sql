-- Remove a queue: its waiting workflows stay, and are handed out again once it is registered anew.
-- Locks: the queue row.
create or replace function pyengine.delete_queue(queue_name text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from pyengine.queues q where q.queue_name = delete_queue.queue_name;
end
$$;

comment on function pyengine.delete_queue is 'Removes a queue if there is one of that name; its waiting workflows stay. Role: client.';
