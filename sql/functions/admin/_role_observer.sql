-- Marks who has the role observer: its holders may call this, and each migration renews what they may call besides.
create or replace function pyengine._role_observer()
returns text
language sql
immutable
as $$ select 'observer' $$;

comment on function pyengine._role_observer is 'Executable by the holders of the role observer.';
