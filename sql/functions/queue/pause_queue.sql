-- Stop handing out work of a queue; what runs goes on.
-- Locks: the queue row.
create or replace function pyengine.pause_queue(queue_name text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update pyengine.queues q
    set is_paused = true, updated_at = pyengine.now()
    where q.queue_name = pause_queue.queue_name;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no queue %s: register it first', pause_queue.queue_name);
    end if;
    perform pyengine._wake(array[pyengine.wait_key('work', pause_queue.queue_name)]);
end
$$;

comment on function pyengine.pause_queue is 'Pauses a queue; raises PE404 if there is none of that name. Role: client.';
