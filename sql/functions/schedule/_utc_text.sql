-- A time in ISO 8601, in UTC with microseconds.
create or replace function pyengine._utc_text(moment timestamptz)
returns text
language sql
immutable
as $$ select pg_catalog.to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || '+00:00' $$;

comment on function pyengine._utc_text is 'A time in ISO 8601, in UTC.';
