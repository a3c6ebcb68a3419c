-- Set the largest payload that is accepted.
create or replace function pyengine.set_max_payload_bytes(max_payload_bytes int)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if set_max_payload_bytes.max_payload_bytes is null
        or set_max_payload_bytes.max_payload_bytes not between 65536 and 268435456 then
        raise exception using errcode = 'PE400',
            message = format('max_payload_bytes must be between 65536 and 268435456, not %s',
                coalesce(set_max_payload_bytes.max_payload_bytes::text, 'null'));
    end if;
    update pyengine.settings s
    set max_payload_bytes = set_max_payload_bytes.max_payload_bytes
    where s.max_payload_bytes <> set_max_payload_bytes.max_payload_bytes;
end
$$;

comment on function pyengine.set_max_payload_bytes is 'Sets the largest payload that is accepted, in bytes, from 65536 to 268435456. Role: worker.';
