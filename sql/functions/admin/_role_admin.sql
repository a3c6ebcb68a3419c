-- Marks who has the role admin: its holders may call this, and each migration renews what they may call besides.
create or replace function pyengine._role_admin()
returns text
language sql
immutable
as $$ select 'admin' $$;

comment on function pyengine._role_admin is 'Executable by the holders of the role admin.';
