-- A dump of the extension holds the settings, and is restored after CREATE EXTENSION has put the defaults there:
-- the row that comes replaces the one that is there.
create function pyengine._replace_settings()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from pyengine.settings;
    return new;
end
$$;

comment on function pyengine._replace_settings is 'Makes room for the settings of a dump.';

create trigger settings_replaced before insert on pyengine.settings
for each row execute function pyengine._replace_settings();
