-- SQL text of the id and age of the first row_limit workflows by age that conditions on workflow w hold for. The other
-- arguments tell what the conditions are about: ids, prefixes of ids (prefixed is that condition), or values of a column
-- that has an index of its own.
create or replace function pyengine._listed_ids_sql(
    conditions text[],
    has_ids boolean,
    prefixed text,
    key_column text,
    key_values text[],
    newest_first boolean,
    row_limit bigint
)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_where text := array_to_string(_listed_ids_sql.conditions, ') and (');
    v_rows text := format('select w.workflow_id, w.created_at from %s w', pg_typeof(null::pyengine.workflows));
    v_first text := format('order by w.created_at %s, w.workflow_id limit %s',
        case when _listed_ids_sql.newest_first then 'desc' else 'asc' end, _listed_ids_sql.row_limit);
    v_few text[] := case when not _listed_ids_sql.has_ids and _listed_ids_sql.key_values is null
        then pyengine._few_by_attributes(_listed_ids_sql.conditions) end;
begin
    if v_few is not null then
        return format('%s where w.workflow_id = any (%L) and (%s) %s', v_rows, v_few, v_where, v_first);
    elsif _listed_ids_sql.has_ids then
        return format('%s where (%s) %s', v_rows, v_where, v_first);
    elsif _listed_ids_sql.key_values is not null then
        return format(
            'select i.* from (select distinct u.key from unnest(%L::text[]) u (key)) k '
            'cross join lateral (%s where w.%I = k.key and (%s) %s) i',
            _listed_ids_sql.key_values, v_rows, _listed_ids_sql.key_column, v_where, v_first);
    elsif _listed_ids_sql.prefixed is not null and not exists (
        select from unnest(_listed_ids_sql.conditions) c where pyengine._condition_grouping(c) <> 'origin'
    ) then
        return pyengine._first_by_prefix_sql(
            _listed_ids_sql.prefixed, _listed_ids_sql.conditions, _listed_ids_sql.newest_first, _listed_ids_sql.row_limit);
    end if;
    return pyengine._first_workflows_sql(
        _listed_ids_sql.conditions, _listed_ids_sql.newest_first, _listed_ids_sql.row_limit);
end
$$;

comment on function pyengine._listed_ids_sql is 'SQL text of the id and age of the first workflows by age that match the filters of a list.';
