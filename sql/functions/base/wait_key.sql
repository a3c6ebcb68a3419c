-- The key under which somebody waits for something of a workflow or queue: 64 bits that tell a stranger nothing.
--
-- All of it is immutable, so that it becomes a part of the statements that call it; called as a function of its own it
-- costs ten times as much. So bytes come from decode (convert_to is only stable); the server's encoding is UTF8.
create or replace function pyengine.wait_key(kind text, id text, name text default '')
returns bigint
language sql
immutable
as $$
    select ('x' || pg_catalog.encode(pg_catalog.substring(pg_catalog.sha256(pg_catalog.decode(pg_catalog.replace(
        kind || ':' || pg_catalog.octet_length(id)::text || ':' || id || ':' || name, '\', '\\'), 'escape'
    )), 1, 8), 'hex'))::bit(64)::bigint
$$;

comment on function pyengine.wait_key is 'Key of a wait: the first 8 bytes of sha256(kind:length of id in bytes:id:name) as a signed integer. Kinds: result, work, message, event, stream, time. Role: observer.';
