-- A time for people, in UTC.
create or replace function pyengine._moment(at timestamptz)
returns text
language sql
stable
as $$
    select pg_catalog.to_char(_moment.at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'
$$;

comment on function pyengine._moment is 'A time for people, in UTC.';
