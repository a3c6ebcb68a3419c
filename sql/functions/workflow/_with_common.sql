-- The documents of a batch with the fields of `common` before their own: of a field that is there twice the last holds.
create or replace function pyengine._with_common(requests json, common json)
returns json
language sql
immutable
as $$
    select case when common is null or common::text ~ '^\s*\{\s*\}\s*$' then pyengine._as_batch(requests) else (
        select coalesce(pg_catalog.json_agg(case
            when r.request::text ~ '^\s*\{\s*\}\s*$' then common
            else (pg_catalog.regexp_replace(common::text, '\}\s*$', ',')
                || pg_catalog.regexp_replace(r.request::text, '^\s*\{', ''))::json end order by r.n), '[]')
        from pg_catalog.json_array_elements(pyengine._as_batch(requests)) with ordinality r (request, n)
    ) end
$$;

comment on function pyengine._with_common is 'The documents of a batch, each with the fields that it has in common with the others.';
