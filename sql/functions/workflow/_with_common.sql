-- The documents of a batch with the fields of `common` before their own: of a field that is there twice the last holds.
create or replace function pyengine._with_common(requests json, common json)
returns json
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if _with_common.common is null or _with_common.common::text ~ '^\s*\{\s*\}\s*$' then
        return pyengine._as_batch(_with_common.requests);
    end if;
    return (
        select coalesce(json_agg(case
            when r.request::text ~ '^\s*\{\s*\}\s*$' then _with_common.common
            else (regexp_replace(_with_common.common::text, '\}\s*$', ',')
                || regexp_replace(r.request::text, '^\s*\{', ''))::json end order by r.n), '[]')
        from json_array_elements(pyengine._as_batch(_with_common.requests)) with ordinality r (request, n)
    );
end
$$;

comment on function pyengine._with_common is 'The documents of a batch, each with the fields that it has in common with the others.';
