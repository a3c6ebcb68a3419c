-- A dump of the extension holds the tables of one row, and is restored after CREATE EXTENSION has put that row there:
-- the one that comes replaces the one that is there. A further table with a row of its own needs the trigger too.
create function pyengine._replace_only_row()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('delete from %I.%I', tg_table_schema, tg_table_name);
    return new;
end
$$;

comment on function pyengine._replace_only_row is 'Makes room for the row of a dump.';

create trigger settings_replaced before insert on pyengine.settings
for each row execute function pyengine._replace_only_row();

create trigger upkeep_replaced before insert on pyengine.upkeep
for each row execute function pyengine._replace_only_row();
