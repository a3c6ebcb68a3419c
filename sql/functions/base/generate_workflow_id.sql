-- A new workflow id in UUIDv7 form: 48 bits of the engine's time in milliseconds, then random bits. Ids that are
-- ordered by time keep the indexes dense: random ones cost three times the write-ahead log.
create or replace function pyengine.generate_workflow_id()
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_milliseconds bytea := int8send(floor(extract(epoch from pyengine.now()) * 1000)::bigint);
    v_id bytea := overlay(uuid_send(gen_random_uuid()) placing substring(v_milliseconds from 3) from 1 for 6);
begin
    -- Version 4 has the bits 0100 where version 7 has 0111; the variant is the same.
    return encode(set_bit(set_bit(v_id, 52, 1), 53, 1), 'hex')::uuid::text;
end
$$;

comment on function pyengine.generate_workflow_id is 'A new, time-ordered workflow id (UUIDv7 form). Role: client.';
