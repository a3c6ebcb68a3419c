-- The largest payload that is accepted, in bytes.
create or replace function pyengine._payload_limit()
returns int
language sql
stable
as $$ select s.max_payload_bytes from pyengine.settings s $$;

comment on function pyengine._payload_limit is 'The largest payload that is accepted, in bytes.';
