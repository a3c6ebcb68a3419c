-- Whether a payload is larger than is accepted. The setting is read only for those that could be: it is at least 65536.
create or replace function pyengine._is_too_large(payload json)
returns boolean
language sql
stable
as $$
    select case when pg_catalog.octet_length(payload::text) > 65536
        then pg_catalog.octet_length(payload::text) > pyengine._payload_limit() else false end
$$;

comment on function pyengine._is_too_large is 'Whether a payload is larger than max_payload_bytes.';
