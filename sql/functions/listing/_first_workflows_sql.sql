-- SQL text of the id and age of the first workflows by age that conditions on workflow w hold for, at most row_limit of
-- those that have not ended, and as many of those that have. Each is read in a way that ends after about so many: by
-- the key that is asked for, by the kinds, or by age.
create or replace function pyengine._first_workflows_sql(conditions text[], newest_first boolean, row_limit bigint)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_rows text := format('select w.workflow_id, w.created_at from %s w where ', pg_typeof(null::pyengine.workflows));
    v_first text := format('order by w.created_at %s, w.workflow_id limit %s',
        case when _first_workflows_sql.newest_first then 'desc' else 'asc' end, _first_workflows_sql.row_limit);
    v_plain text[] := pyengine._plain_conditions(_first_workflows_sql.conditions);
    v_about_status text := (
        select string_agg(c, ') and (') from unnest(v_plain) c where pyengine._condition_grouping(c) = 'status');
    v_has_open boolean;
    v_has_ended boolean;
    v_ended text;
begin
    execute format(
        'select coalesce(bool_or(not w.is_end), false), coalesce(bool_or(w.is_end), false) from (values '
        '(''ENQUEUED'', false), (''DELAYED'', false), (''PENDING'', false), (''SUCCESS'', true), (''ERROR'', true), '
        '(''CANCELLED'', true), (''MAX_RECOVERY_ATTEMPTS_EXCEEDED'', true)) w (status, is_end) where (%s)',
        coalesce(v_about_status, 'true'))
    into v_has_open, v_has_ended;

    if v_has_ended then
        -- What started since then has ended since then, or not ended.
        v_plain := v_plain || array(
            select replace(c, 'w.started_at', 'w.finished_at') from unnest(v_plain) c
            where c ~ '^[()]*w\.started_at\)? >=? ' and c !~ 'w\..*w\.');
        v_ended := coalesce(
            pyengine._ended_by_kind_sql(v_plain, _first_workflows_sql.newest_first, _first_workflows_sql.row_limit),
            v_rows || 'w.finished_at is not null and (' || array_to_string(v_plain || 'true'::text, ') and (') || ') ' || v_first);
    end if;
    return array_to_string(array[
        case when v_has_open then format('(%sw.finished_at is null and (%s) %s)', v_rows,
            array_to_string(_first_workflows_sql.conditions || 'true'::text, ') and ('), v_first) end,
        case when v_has_ended then format('(%s)', v_ended) end,
        case when not v_has_open and not v_has_ended then v_rows || 'false' end
    ], ' union all ');
end
$$;

comment on function pyengine._first_workflows_sql is 'SQL text of the id and age of the first workflows by age that conditions hold for.';
