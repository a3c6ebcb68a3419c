-- SQL text of the id and age of the first workflows by age that conditions on workflow w hold for: at most row_limit of
-- those that wait, as many of those that pause, that run, and that have ended. What waits is read by age until there are
-- so many, what has ended by its kinds or by age. What runs is read whole: it is no more than processes can hold.
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
    v_waits boolean;
    v_runs boolean;
    v_has_ended boolean;
    v_ended text;
    v_where text;
begin
    execute format(
        'select bool_or(w.waits), bool_or(w.runs), bool_or(w.has_ended) from (values (''ENQUEUED'', true, false, false), '
        '(''DELAYED'', true, false, false), (''PENDING'', true, true, false), (''SUCCESS'', false, false, true), '
        '(''ERROR'', false, false, true), (''CANCELLED'', false, false, true), '
        '(''MAX_RECOVERY_ATTEMPTS_EXCEEDED'', false, false, true)) w (status, waits, runs, has_ended) where (%s)',
        coalesce(v_about_status, 'true'))
    into v_waits, v_runs, v_has_ended;

    if v_has_ended then
        -- What started since then has ended since then, or not ended.
        v_plain := v_plain || array(
            select replace(c, 'w.started_at', 'w.finished_at') from unnest(v_plain) c
            where c ~ '^[()]*w\.started_at\)? >=? ' and c !~ 'w\..*w\.');
        v_ended := coalesce(
            pyengine._ended_by_kind_sql(v_plain, _first_workflows_sql.newest_first, _first_workflows_sql.row_limit),
            v_rows || pyengine._part_sql('ended') || ' and (' || array_to_string(v_plain || 'true'::text, ') and (') || ') ' || v_first);
    end if;
    v_where := format(' and (%s) %s', array_to_string(_first_workflows_sql.conditions || 'true'::text, ') and ('), v_first);
    return coalesce((
        select string_agg(case when p.name = 'ended' then format('(%s)', v_ended)
            else format('(%s%s%s)', v_rows, pyengine._part_sql(p.name), v_where) end, ' union all ')
        from (values ('waiting', v_waits), ('paused', v_waits), ('running', v_runs), ('ended', v_has_ended)) p (name, is_asked)
        where p.is_asked
    ), v_rows || 'false');
end
$$;

comment on function pyengine._first_workflows_sql is 'SQL text of the id and age of the first workflows by age that conditions hold for.';
