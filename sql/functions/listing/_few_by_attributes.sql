-- The ids of the workflows with the attributes that conditions ask for, when these are few; null when they are many, or
-- no condition asks for attributes to be there. The planner is not asked: it guesses how many they are.
create or replace function pyengine._few_by_attributes(conditions text[])
returns text[]
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_indexscan = off
as $$
declare
    v_most constant int := 1000;
    v_asked text := (
        select string_agg(c.text, ' and ')
        from unnest(_few_by_attributes.conditions) c (text)
        where c.text ~ '^[()]*w\.attributes\)? @> ' and c.text !~ ' (or|not|is) '
            and pyengine._condition_grouping(c.text) = 'attributes');
    v_ids text[];
begin
    if v_asked is not null then
        execute format(
            'select array_agg(w.workflow_id) from (select w.workflow_id from %s w where w.attributes is not null and %s limit %s) w',
            pg_typeof(null::pyengine.workflows), v_asked, v_most + 1)
        into v_ids;
    end if;
    return case when v_asked is not null and coalesce(cardinality(v_ids), 0) <= v_most then coalesce(v_ids, '{}') end;
end
$$;

comment on function pyengine._few_by_attributes is 'The ids of the workflows with attributes that are asked for, if they are few.';
