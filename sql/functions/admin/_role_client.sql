-- Marks who has the role client: its holders may call this, and each migration renews what they may call besides.
create or replace function pyengine._role_client()
returns text
language sql
immutable
as $$ select 'client' $$;

comment on function pyengine._role_client is 'Executable by the holders of the role client.';
