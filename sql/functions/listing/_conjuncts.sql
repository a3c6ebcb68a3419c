-- SQL texts of the parts of a condition tree on workflow w that must all hold.
create or replace function pyengine._conjuncts(condition json, depth int default 0)
returns text[]
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if _conjuncts.condition is null then
        return '{}'::text[];
    elsif _conjuncts.depth < 50 and json_typeof(_conjuncts.condition) = 'object' and _conjuncts.condition ->> 'op' = 'and'
        and json_typeof(_conjuncts.condition -> 'args') = 'array'
        and json_array_length(_conjuncts.condition -> 'args') > 0 then
        return array(
            select p.text
            from json_array_elements(_conjuncts.condition -> 'args') with ordinality a (arg, n)
            cross join lateral unnest(pyengine._conjuncts(a.arg, _conjuncts.depth + 1)) with ordinality p (text, n)
            order by a.n, p.n);
    end if;
    return array[pyengine._condition_sql(_conjuncts.condition, _conjuncts.depth)];
end
$$;

comment on function pyengine._conjuncts is 'SQL texts that must all hold for a condition that is given as a json tree.';
