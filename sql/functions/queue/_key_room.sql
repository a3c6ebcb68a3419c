-- How many workflows of a partition key may start now. The caller holds the queue's lock.
create or replace function pyengine._key_room(
    queue pyengine.queues,
    executor pyengine.executors,
    partition_key text,
    is_serial boolean
)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_limit int := case when _key_room.is_serial then 1 else (_key_room.queue).partition_concurrency end;
    v_running int;
    v_running_here int;
    v_room int := 2147483647;
begin
    if v_limit is not null or (_key_room.queue).partition_worker_concurrency is not null then
        select count(*), count(*) filter (where w.executor_id = (_key_room.executor).executor_id)
        into v_running, v_running_here
        from pyengine.workflows w
        where w.status = 'PENDING' and w.queue_name = (_key_room.queue).queue_name
            and w.partition_key = _key_room.partition_key and (w.is_serial or not _key_room.is_serial);
        v_room := least(v_limit - v_running, (_key_room.queue).partition_worker_concurrency - v_running_here);
    end if;
    if (_key_room.queue).partition_limiter_limit is not null then
        v_room := least(v_room, (_key_room.queue).partition_limiter_limit - pyengine._starts_in_window(
            (_key_room.queue).queue_name, _key_room.partition_key, (_key_room.queue).partition_limiter_period,
            (_key_room.queue).last_started_at));
    end if;
    return v_room;
end
$$;

comment on function pyengine._key_room is 'How many workflows of a partition key may start now.';
