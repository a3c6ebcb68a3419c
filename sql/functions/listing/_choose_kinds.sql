-- The kinds by which to read the ended workflows that conditions hold for; null when no condition is about a kind, or the
-- kinds are too many. What holds for every kind needs no look. When conditions are about several groupings, that one is
-- chosen whose first workflow is farthest off: what comes before that can't match.
create or replace function pyengine._choose_kinds(conditions text[], newest_first boolean)
returns pyengine.ended_kinds
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_group record;
    v_found pyengine.ended_kinds;
    v_best pyengine.ended_kinds;
    v_left int := cardinality(_choose_kinds.conditions);
    v_covered int;
begin
    for v_group in
        select coalesce(nullif(g.name, 'status'), 'kind') as grouped_by, string_agg(c.text, ') and (') as text, count(*) as size
        from unnest(_choose_kinds.conditions) c (text)
        cross join lateral (select pyengine._condition_grouping(c.text)) g (name)
        where g.name is not null
        group by 1
    loop
        v_found := pyengine._find_kinds(v_group.grouped_by, format('(%s)', v_group.text), _choose_kinds.newest_first);
        continue when v_found.hashes is null;
        if v_found.is_every then
            v_left := v_left - v_group.size;
        elsif v_best.hashes is null or v_found.hashes = '{}'
            or (v_found.first_at[1] < v_best.first_at[1]) = _choose_kinds.newest_first then
            v_best := v_found;
            v_covered := v_group.size;
        end if;
        exit when v_best.hashes = '{}';
    end loop;
    v_best.is_all := v_left = v_covered;
    return v_best;
end
$$;

comment on function pyengine._choose_kinds is 'The kinds by which to read the ended workflows that conditions hold for; null when there is no good choice.';
