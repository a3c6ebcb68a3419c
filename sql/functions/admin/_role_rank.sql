-- The place of a role among the engine's roles, from 1: each may call what those before it may. Null for any other.
create or replace function pyengine._role_rank(engine_role text)
returns int
language sql
immutable
as $$ select pg_catalog.array_position(array['observer', 'client', 'worker', 'admin'], engine_role) $$;

comment on function pyengine._role_rank is 'Place of a role among observer, client, worker and admin; null for any other.';
