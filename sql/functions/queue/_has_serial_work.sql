-- Whether a queue has claimable work that runs one at a time with its key.
create or replace function pyengine._has_serial_work(queue_name text)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return exists (
        select 1 from pyengine.workflows w
        where w.status = 'ENQUEUED' and w.queue_name = _has_serial_work.queue_name
            and w.partition_key is not null and w.is_serial
    );
end
$$;

comment on function pyengine._has_serial_work is 'Whether a queue has claimable work that runs one at a time with its key.';
