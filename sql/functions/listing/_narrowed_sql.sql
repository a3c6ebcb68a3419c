-- SQL text of all conditions on workflow w, for a statement without a limit. What it adds holds for every workflow: it names
-- the indexes that have the workflows by age between them, and the kinds in question of those that have ended.
create or replace function pyengine._narrowed_sql(conditions text[])
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_kinds pyengine.ended_kinds := pyengine._choose_kinds(pyengine._plain_conditions(_narrowed_sql.conditions), true);
begin
    if _narrowed_sql.conditions = '{}' then
        return 'true';
    end if;
    return format(
        '(%s) and (%s%s%s or %s or %s or %s)',
        array_to_string(_narrowed_sql.conditions, ') and ('),
        pyengine._part_sql('ended'),
        case when v_kinds.grouped_by = 'attributes' then ' and w.attributes is not null' else '' end,
        case when v_kinds.hashes is not null
            then format(' and %s = any (%L)', pyengine._kind_sql(v_kinds.grouped_by), v_kinds.hashes) else '' end,
        pyengine._part_sql('waiting'), pyengine._part_sql('paused'), pyengine._part_sql('running'));
end
$$;

comment on function pyengine._narrowed_sql is 'SQL text of conditions on workflow w, with the indexes that have what they hold for.';
