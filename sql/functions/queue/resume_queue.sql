-- Hand out work of a paused queue again.
-- Locks: the queue row, as _set_paused.
create or replace function pyengine.resume_queue(queue_name text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pyengine._set_paused(resume_queue.queue_name, false);
end
$$;

comment on function pyengine.resume_queue is 'Resumes a queue; raises PE404 if there is none of that name. Role: client.';
