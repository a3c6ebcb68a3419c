-- The oid of this schema, whose name no string of the sources may hold.
create or replace function pyengine._namespace()
returns oid
language sql
stable
as $$
    select c.relnamespace
    from pg_catalog.pg_class c
    where c.oid = (select m.tableoid from pyengine.schema_migrations m limit 1)
$$;

comment on function pyengine._namespace is 'The oid of this schema.';
