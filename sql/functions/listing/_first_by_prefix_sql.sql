-- SQL text of the id and age of the first workflows by age whose ids begin with one of the prefixes. Nothing has them by
-- age: either they are frequent among the first of all, or all of them are read in the index of ids, which knows their
-- age, and of those the first ones are looked at; if these are too few, all of them are.
create or replace function pyengine._first_by_prefix_sql(
    prefixed text,
    conditions text[],
    newest_first boolean,
    row_limit bigint
)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    v_near constant int := 1000;
    v_many constant bigint := 5 * _first_by_prefix_sql.row_limit;
    v_table text := pg_typeof(null::pyengine.workflows);
    v_direction text := case when _first_by_prefix_sql.newest_first then 'desc' else 'asc' end;
    v_first text := format('where (%s) order by w.created_at %s, w.workflow_id limit %s',
        array_to_string(_first_by_prefix_sql.conditions, ') and ('), v_direction, _first_by_prefix_sql.row_limit);
    v_sources text[] := array[
        format(
            'select w.* from (%s order by created_at %s limit %s) w',
            (select string_agg(format('(select w.* from %s w where %s order by w.created_at %s limit %s)',
                v_table, pyengine._part_sql(p), v_direction, v_near), ' union all ')
             from unnest(array['waiting', 'paused', 'running', 'ended']) p),
            v_direction, v_near),
        format(
            'select w.* from (select i.* from (select w.workflow_id, w.created_at from %1$s w where %4$s '
            'order by w.workflow_id %2$s offset 0) i order by i.created_at %2$s, i.workflow_id limit %3$s) p '
            'join %1$s w on w.workflow_id = p.workflow_id', v_table, v_direction, v_many, _first_by_prefix_sql.prefixed)];
    v_source text;
    v_ids text[];
    v_times timestamptz[];
begin
    foreach v_source in array v_sources loop
        execute format(
            'select array_agg(f.workflow_id), array_agg(f.created_at) from ('
            'select w.workflow_id, w.created_at from (%s) w %s) f', v_source, v_first)
        into v_ids, v_times;
        if cardinality(v_ids) >= _first_by_prefix_sql.row_limit then
            return format('select * from unnest(%L::text[], %L::timestamptz[])', v_ids, v_times);
        end if;
    end loop;
    return format('select w.workflow_id, w.created_at from %s w %s', v_table, v_first);
end
$$;

comment on function pyengine._first_by_prefix_sql is 'SQL text of the id and age of the first workflows by age whose ids have a prefix.';
