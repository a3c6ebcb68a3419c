-- A time (ISO 8601 with an offset) as a json value of a serialization.
create or replace function pyengine._tick_value(tick text, serialization text)
returns json
language sql
immutable
as $$
    select case serialization
        when 'json' then pg_catalog.json_build_object('$type', 'datetime', 'value', tick)
        else pg_catalog.to_json(pg_catalog.to_char(
            tick::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
    end
$$;

comment on function pyengine._tick_value is 'A time as a json value of a serialization.';
