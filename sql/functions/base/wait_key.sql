-- The key under which somebody waits for something of a workflow or queue: 64 bits that tell a stranger nothing.
create or replace function pyengine.wait_key(kind text, id text, name text default '')
returns bigint
language sql
immutable
as $$
    select ('x' || pg_catalog.encode(pg_catalog.substring(pg_catalog.sha256(pg_catalog.convert_to(
        kind || ':' || pg_catalog.octet_length(id) || ':' || id || ':' || name, 'UTF8')), 1, 8), 'hex'
    ))::bit(64)::bigint
$$;

comment on function pyengine.wait_key is 'Key of a wait: the first 8 bytes of sha256(kind:length of id in bytes:id:name) as a signed integer. Kinds: result, work, message, event, stream, time. Role: observer.';
