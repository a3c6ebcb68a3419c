-- A span of time for people: 3.2 s, 42 s, 12 min, 5.3 h, 4 days.
create or replace function pyengine._span(span interval)
returns text
language sql
immutable
as $$
    select case
        when s < 10 then pg_catalog.round(s, 1)::text || ' s'
        when s < 120 then pg_catalog.round(s)::text || ' s'
        when s < 7200 then pg_catalog.round(s / 60)::text || ' min'
        when s < 172800 then pg_catalog.round(s / 3600, 1)::text || ' h'
        else pg_catalog.round(s / 86400)::text || ' days' end
    from (select greatest(extract(epoch from _span.span), 0) as s) span
$$;

comment on function pyengine._span is 'A span of time for people.';
