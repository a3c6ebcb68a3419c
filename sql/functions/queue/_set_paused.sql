-- Pause a queue or let it go on, and let all processes look. Raises PE404 if there is none of that name.
-- Locks: the queue row.
create or replace function pyengine._set_paused(queue_name text, is_paused boolean)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    update pyengine.queues q
    set is_paused = _set_paused.is_paused, updated_at = pyengine.now()
    where q.queue_name = _set_paused.queue_name;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no queue %s: register it first', _set_paused.queue_name);
    end if;
    perform pyengine._wake(array[pyengine.wait_key('work', _set_paused.queue_name)]);
end
$$;

comment on function pyengine._set_paused is 'Pauses a queue or lets it go on; raises PE404 if there is none of that name.';
