-- Refuse a queue and partition key where a workflow can't be put.
create or replace function pyengine._check_place(queue_name text, partition_key text)
returns void
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if _check_place.queue_name is not null then
        perform pyengine._check_queue_name(_check_place.queue_name);
    elsif _check_place.partition_key is not null then
        raise exception using errcode = 'PE400', message = 'a partition_key needs a queue_name';
    end if;
    if octet_length(_check_place.partition_key) > 512 then
        raise exception using errcode = 'PE400', message = 'partition_key must have at most 512 bytes';
    end if;
end
$$;

comment on function pyengine._check_place is 'Raises PE400 for a queue and partition key where no workflow can be put.';
