-- The next partition key of a queue with claimable work: behind the given one, then once from the beginning up to the cursor.
create or replace function pyengine._next_key(queue_name text, partition_key text, is_wrapped boolean, cursor_key text)
returns setof pyengine.key_visit
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_sort = off
as $$
declare
    v_key text;
begin
    select w.partition_key
    into v_key
    from pyengine.workflows w
    where w.status = 'ENQUEUED' and w.queue_name = _next_key.queue_name and w.partition_key > _next_key.partition_key
    order by w.partition_key
    limit 1;
    if found and not _next_key.is_wrapped then
        return query select v_key, false;
        return;
    end if;
    if not _next_key.is_wrapped then
        select w.partition_key
        into v_key
        from pyengine.workflows w
        where w.status = 'ENQUEUED' and w.queue_name = _next_key.queue_name and w.partition_key is not null
        order by w.partition_key
        limit 1;
    end if;
    if v_key <= _next_key.cursor_key then
        return query select v_key, true;
    end if;
end
$$;

comment on function pyengine._next_key is 'The next partition key with claimable work, in a circle that ends at the cursor.';
