-- SQL text of an operand of a condition on workflow w: a column, an attribute, the time, or a value as a literal.
create or replace function pyengine._operand_sql(operand json)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_kind text;
    v_value text;
begin
    select case when count(*) = 1 then min(e.key) end, min(e.value)
    into v_kind, v_value
    from json_each_text(_operand_sql.operand) e;

    return case v_kind
        when 'column' then (
            select format('w.%I', c.name)
            from unnest(array[
                'workflow_id', 'status', 'name', 'class_name', 'config_name', 'application_name', 'application_version',
                'executor_id', 'executor_name', 'attempt_count', 'max_attempts', 'queue_name', 'priority',
                'partition_key', 'deduplication_id', 'parent_workflow_id', 'forked_from', 'was_forked_from',
                'schedule_name', 'authenticated_user', 'assumed_role', 'timeout', 'deadline_at', 'delayed_until',
                'created_at', 'updated_at', 'started_at', 'finished_at'
            ]) c (name)
            where c.name = v_value)
        when 'attribute' then format('w.attributes ->> %L', v_value)
        when 'now' then format('%L::timestamptz', pyengine.now())
        when 'text' then format('%L::text', v_value)
        when 'time' then format('%L::timestamptz', v_value::timestamptz)
        when 'interval' then format('%L::interval', v_value::interval)
        when 'number' then format('%L::numeric', v_value::numeric)
        when 'json' then format('%L::jsonb', v_value::jsonb)
        when 'boolean' then case v_value::boolean when true then 'true' when false then 'false' end
        end;
end
$$;

comment on function pyengine._operand_sql is 'SQL text of an operand of a condition; null when there is no such column or kind.';
