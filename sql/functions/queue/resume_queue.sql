-- Hand out work of a paused queue again.
-- Locks: the queue row.
create or replace function pyengine.resume_queue(queue_name text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update pyengine.queues q
    set is_paused = false, updated_at = pyengine.now()
    where q.queue_name = resume_queue.queue_name;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no queue %s: register it first', resume_queue.queue_name);
    end if;
    perform pyengine._wake(array[pyengine.wait_key('work', resume_queue.queue_name)]);
end
$$;

comment on function pyengine.resume_queue is 'Resumes a queue; raises PE404 if there is none of that name. Role: client.';
