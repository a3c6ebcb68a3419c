-- A number with its noun.
create or replace function pyengine._counted(n bigint, noun text)
returns text
language sql
immutable
as $$
    select pg_catalog.format('%s %s', n, case
        when n = 1 then noun when noun like '%ss' then noun || 'es' else noun || 's' end)
$$;

comment on function pyengine._counted is 'A number with its noun, which is in the plural unless the number is 1.';
