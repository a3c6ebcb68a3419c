-- SQL text of the first ended workflows that conditions hold for, kind by kind; null when that is no good way. What the
-- kinds were chosen by is not asked of each workflow again: the planner would take it for a further restriction, expect
-- next to nothing, and sort all of a kind instead of reading its first.
create or replace function pyengine._ended_by_kind_sql(conditions text[], newest_first boolean, row_limit bigint)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_kinds pyengine.ended_kinds := pyengine._choose_kinds(_ended_by_kind_sql.conditions, _ended_by_kind_sql.newest_first);
    v_left text := (
        select string_agg(c.text, ') and (')
        from unnest(_ended_by_kind_sql.conditions) c (text)
        where coalesce(nullif(pyengine._condition_grouping(c.text), 'status'), 'kind') <> v_kinds.grouped_by
            or pyengine._condition_grouping(c.text) is null);
    v_last timestamptz := v_kinds.first_at[least(_ended_by_kind_sql.row_limit, 100000)::int];
    v_within text[] := array[case when _ended_by_kind_sql.newest_first then '<=' else '>=' end,
        case when _ended_by_kind_sql.newest_first then '>=' else '<=' end];
begin
    if v_kinds.hashes is null or not v_kinds.is_all and cardinality(v_kinds.hashes) > 100 then
        return null;
    elsif v_kinds.hashes = '{}' then
        return 'select null::text, null::timestamptz where false';
    elsif v_kinds.is_all and v_last is not null then
        -- The first of so many kinds fill the list: nothing behind them is needed.
        v_kinds.hashes := array(
            select k.hash from unnest(v_kinds.hashes, v_kinds.first_at) k (hash, at)
            where k.at = v_last or (k.at > v_last) = _ended_by_kind_sql.newest_first);
    else
        v_last := null;
    end if;
    return format(
        'select i.* from unnest(%L::bigint[]) k (hash) cross join lateral ('
        'select w.workflow_id, w.created_at from %s w where w.finished_at is not null%s and %s = k.hash and (%s) '
        'and w.created_at %s %L%s order by w.created_at %s, w.workflow_id limit %s) i',
        v_kinds.hashes, pg_typeof(null::pyengine.workflows),
        case when v_kinds.grouped_by = 'attributes' then ' and w.attributes is not null' else '' end,
        pyengine._kind_sql(v_kinds.grouped_by), coalesce(v_left, 'true'),
        v_within[1], v_kinds.first_at[1], ' and w.created_at ' || v_within[2] || ' ' || quote_literal(v_last),
        case when _ended_by_kind_sql.newest_first then 'desc' else 'asc' end, _ended_by_kind_sql.row_limit);
end
$$;

comment on function pyengine._ended_by_kind_sql is 'SQL text of the first ended workflows that conditions hold for, kind by kind; null when that is no good way.';
