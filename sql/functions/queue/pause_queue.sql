-- Stop handing out work of a queue; what runs goes on.
-- Locks: the queue row, as _set_paused.
create or replace function pyengine.pause_queue(queue_name text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pyengine._set_paused(pause_queue.queue_name, true);
end
$$;

comment on function pyengine.pause_queue is 'Pauses a queue; raises PE404 if there is none of that name. Role: client.';
