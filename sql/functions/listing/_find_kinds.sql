-- The kinds of ended workflows that conditions hold for, in the order of their first one by age. One probe of the index
-- finds each kind and its first workflow, which stands for all of it. Null when there are so many kinds that a list
-- is better read in another way. Those without attributes are in no kind of attributes.
create or replace function pyengine._find_kinds(grouped_by text, conditions text, newest_first boolean)
returns pyengine.ended_kinds
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    v_most constant int := 2000;
    v_hash constant text := pyengine._kind_sql(_find_kinds.grouped_by);
    v_step text := format(
        'select %s as hash, w.created_at, w.name, w.queue_name, w.status, w.parent_workflow_id, w.forked_from, '
        'w.was_forked_from, w.executor_name, w.application_version, w.application_name, w.attributes '
        'from %s w where w.finished_at is not null%s', v_hash, pg_typeof(null::pyengine.workflows),
        case when _find_kinds.grouped_by = 'attributes' then ' and w.attributes is not null' else '' end);
    v_order text := format('order by %s %2$s, w.created_at %2$s limit 1', v_hash,
        case when _find_kinds.newest_first then 'desc' else 'asc' end);
    v_kinds pyengine.ended_kinds;
    v_count int;
    v_is_about_none boolean;
begin
    if _find_kinds.grouped_by = 'attributes' then
        execute format('select (%s) is true from (select null::jsonb as attributes) w', _find_kinds.conditions)
        into v_is_about_none;
        if v_is_about_none then
            return null;
        end if;
    end if;
    execute format(
        'with recursive kind as ((%1$s %2$s) union all '
        'select n.* from kind k cross join lateral (%1$s and %3$s %4$s k.hash %2$s) n) '
        'select count(*), array_agg(w.hash order by w.created_at %5$s) filter (where %6$s), '
        'array_agg(w.created_at order by w.created_at %5$s) filter (where %6$s) '
        'from (select * from kind limit %7$s) w',
        v_step, v_order, v_hash, case when _find_kinds.newest_first then '<' else '>' end,
        case when _find_kinds.newest_first then 'desc' else 'asc' end, _find_kinds.conditions, v_most + 1)
    into v_count, v_kinds.hashes, v_kinds.first_at;
    if v_count > v_most then
        return null;
    end if;
    v_kinds.grouped_by := _find_kinds.grouped_by;
    v_kinds.hashes := coalesce(v_kinds.hashes, '{}');
    v_kinds.is_every := cardinality(v_kinds.hashes) = v_count and _find_kinds.grouped_by <> 'attributes';
    return v_kinds;
end
$$;

comment on function pyengine._find_kinds is 'The kinds of ended workflows that conditions hold for; null when there are too many to look at.';
