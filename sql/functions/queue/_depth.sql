-- How many workflows of a queue wait, counted up to a limit.
create or replace function pyengine._depth(queue_name text, count_limit int)
returns bigint
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return (
        select count(*)
        from (
            (select 1 from pyengine.workflows w
             where w.status = 'ENQUEUED' and w.queue_name = _depth.queue_name and w.partition_key is null
             limit _depth.count_limit)
            union all
            (select 1 from pyengine.workflows w
             where w.status = 'ENQUEUED' and w.queue_name = _depth.queue_name and w.partition_key is not null
             limit _depth.count_limit)
            union all
            (select 1 from pyengine.workflows w
             where w.status = 'DELAYED' and w.queue_name = _depth.queue_name
             limit _depth.count_limit)
        ) waiting
    );
end
$$;

comment on function pyengine._depth is 'How many workflows of a queue wait; it stops counting at a multiple of the limit.';
