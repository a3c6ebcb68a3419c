-- List the migrations of this schema, oldest first, to a caller who may not read the table itself.
-- A library of any age calls this before anything else: neither its name nor its result may change.
create or replace function pyengine.list_migrations()
returns setof pyengine.schema_migrations
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select m.*
    from pyengine.schema_migrations as m
    order by m.version;
end
$$;

comment on function pyengine.list_migrations is 'Lists the migrations applied to this schema, oldest first. Role: observer.';
