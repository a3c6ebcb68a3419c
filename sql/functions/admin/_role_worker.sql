-- Marks who has the role worker: its holders may call this, and each migration renews what they may call besides.
create or replace function pyengine._role_worker()
returns text
language sql
immutable
as $$ select 'worker' $$;

comment on function pyengine._role_worker is 'Executable by the holders of the role worker.';
