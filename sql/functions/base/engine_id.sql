-- By which other databases know this engine.
create or replace function pyengine.engine_id()
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (select s.engine_id::text from pyengine.settings s);
end
$$;

comment on function pyengine.engine_id is 'By which other databases know this engine: what it has stored there names it. Role: client.';
