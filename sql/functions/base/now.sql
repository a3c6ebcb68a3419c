-- The engine's only clock: the database's. Nothing that is stored comes from a worker's clock.
create or replace function pyengine.now()
returns timestamptz
language sql
volatile
as $$ select pg_catalog.clock_timestamp() $$;

comment on function pyengine.now is 'The engine''s clock: the time of the database server, at this moment. Role: observer.';
