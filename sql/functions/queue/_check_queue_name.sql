-- Refuse what can't be a queue's name.
create or replace function pyengine._check_queue_name(queue_name text)
returns void
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if _check_queue_name.queue_name is null or btrim(_check_queue_name.queue_name) = ''
        or octet_length(_check_queue_name.queue_name) > 255 then
        raise exception using errcode = 'PE400',
            message = 'queue_name must have 1 to 255 bytes and not be blank';
    elsif starts_with(_check_queue_name.queue_name, '_dbos_') or starts_with(_check_queue_name.queue_name, '_pyengine_') then
        raise exception using errcode = 'PE400',
            message = format('queue_name %s begins with a reserved prefix (_dbos_, _pyengine_): choose another',
                _check_queue_name.queue_name);
    end if;
end
$$;

comment on function pyengine._check_queue_name is 'Raises PE400 for a name that a queue can''t have.';
