-- Workflows that match all of the filters, oldest or newest first. A filter that is null filters nothing; of a list
-- any element may match. Prefixes are compared as they are, without wildcards. A condition is a json tree, as
-- described in sql/README.md.
--
-- The statement is made of the filters that are given and planned with their values, so that each finds its index.
-- Its text consists of the constants below, of values as quoted literals, and of what _condition_sql makes. A limited
-- list first finds the ids of its rows, in the way that _listed_ids_sql chooses.
create or replace function pyengine.list_workflows(
    workflow_ids text[] default null,
    statuses text[] default null,
    names text[] default null,
    application_name text default null,
    application_versions text[] default null,
    executor_names text[] default null,
    queue_names text[] default null,
    queues_only boolean default false,
    created_from timestamptz default null,
    created_to timestamptz default null,
    started_from timestamptz default null,
    started_to timestamptz default null,
    finished_from timestamptz default null,
    finished_to timestamptz default null,
    authenticated_users text[] default null,
    parent_workflow_ids text[] default null,
    has_parent boolean default null,
    forked_from text[] default null,
    is_fork boolean default null,
    was_forked_from boolean default null,
    schedule_names text[] default null,
    id_prefixes text[] default null,
    attributes jsonb default null,
    newest_first boolean default false,
    row_limit int default null,
    row_offset int default null,
    condition json default null,
    load_input boolean default true,
    load_output boolean default true
)
returns setof pyengine.workflows
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = on
set enable_sort = on
as $$
declare
    v_statuses text[] := case when list_workflows.statuses is null and list_workflows.queues_only
        then array['ENQUEUED', 'DELAYED', 'PENDING'] else list_workflows.statuses end;
    -- A workflow is created before it starts and ends: that bounds the search by age as well.
    v_created_to timestamptz := least(
        list_workflows.created_to, list_workflows.started_to, list_workflows.finished_to);
    v_prefixed text := case when list_workflows.id_prefixes is not null
        then pyengine._prefixed_sql(list_workflows.id_prefixes) end;
    v_key record;
    v_conditions text[] := array_remove(array[
        'w.workflow_id = any (' || quote_literal(list_workflows.workflow_ids) || ')',
        v_prefixed,
        (select coalesce(string_agg(pyengine._status_sql(s.status), ' or '), 'false')
         from unnest(v_statuses) s (status) having v_statuses is not null),
        'w.name = any (' || quote_literal(list_workflows.names) || ')',
        'w.application_name is null or w.application_name = ' || quote_literal(list_workflows.application_name),
        'w.application_version = any (' || quote_literal(list_workflows.application_versions) || ')',
        'w.executor_name = any (' || quote_literal(list_workflows.executor_names) || ')',
        'w.queue_name = any (' || quote_literal(list_workflows.queue_names) || ')',
        case when list_workflows.queues_only then 'w.queue_name is not null' end,
        'w.created_at >= ' || quote_literal(list_workflows.created_from),
        'w.created_at <= ' || quote_literal(v_created_to),
        'w.started_at >= ' || quote_literal(list_workflows.started_from),
        'w.started_at <= ' || quote_literal(list_workflows.started_to),
        'w.finished_at >= ' || quote_literal(list_workflows.finished_from),
        'w.finished_at <= ' || quote_literal(list_workflows.finished_to),
        'w.authenticated_user = any (' || quote_literal(list_workflows.authenticated_users) || ')',
        'w.parent_workflow_id = any (' || quote_literal(list_workflows.parent_workflow_ids) || ')',
        'w.forked_from = any (' || quote_literal(list_workflows.forked_from) || ')',
        'w.schedule_name = any (' || quote_literal(list_workflows.schedule_names) || ')',
        case list_workflows.has_parent when true then 'w.parent_workflow_id is not null'
            when false then 'w.parent_workflow_id is null' end,
        case list_workflows.is_fork when true then 'w.forked_from is not null'
            when false then 'w.forked_from is null' end,
        case list_workflows.was_forked_from when true then 'w.was_forked_from' when false then 'not w.was_forked_from' end,
        'w.attributes @> ' || quote_literal(list_workflows.attributes)
    ], null) || pyengine._conjuncts(list_workflows.condition);
    v_order text := format('order by w.created_at %s, w.workflow_id',
        case when list_workflows.newest_first then 'desc' else 'asc' end);
begin
    if list_workflows.row_limit is null then
        return query execute format(
            'select %s from %s w where %s %s offset %L',
            pyengine._workflow_columns_sql(list_workflows.load_input, list_workflows.load_output),
            pg_typeof(null::pyengine.workflows), pyengine._narrowed_sql(v_conditions), v_order,
            list_workflows.row_offset);
        return;
    end if;
    select k.column_name, k.key_values
    into v_key
    from (values
        ('authenticated_user', list_workflows.authenticated_users), ('parent_workflow_id', list_workflows.parent_workflow_ids),
        ('forked_from', list_workflows.forked_from), ('schedule_name', list_workflows.schedule_names)
    ) k (column_name, key_values)
    where k.key_values is not null
    union all
    select k.column_name, k.key_values from pyengine._asked_keys(list_workflows.condition) k
    limit 1;
    -- However old the statistics are: there is an index for each part. The settings end with the function.
    perform set_config('enable_seqscan', 'off', true);
    if num_nonnulls(list_workflows.authenticated_users, list_workflows.parent_workflow_ids, list_workflows.forked_from,
        list_workflows.schedule_names) > 0
    then
        -- The workflows of a key are in its index by age; the planner takes them for few, and would sort them all.
        perform set_config('enable_sort', 'off', true);
    end if;
    return query execute format(
        'select %1$s from (select i.workflow_id from (%2$s) i (workflow_id, created_at) '
        'order by i.created_at %3$s, i.workflow_id limit %4$s offset %5$L) l '
        'join %6$s w on w.workflow_id = l.workflow_id where (%8$s) %7$s',
        pyengine._workflow_columns_sql(list_workflows.load_input, list_workflows.load_output),
        pyengine._listed_ids_sql(
            v_conditions, list_workflows.workflow_ids is not null, v_prefixed, quote_ident(v_key.column_name), v_key.key_values,
            list_workflows.newest_first, list_workflows.row_limit + coalesce(list_workflows.row_offset, 0)::bigint),
        case when list_workflows.newest_first then 'desc' else 'asc' end, list_workflows.row_limit,
        list_workflows.row_offset, pg_typeof(null::pyengine.workflows), v_order,
        array_to_string(v_conditions || 'true'::text, ') and ('));
end
$$;

comment on function pyengine.list_workflows is 'Workflows that match all filters (null filters nothing, of a list any element matches), by age. condition is a tree as _condition_sql reads it; payloads are null where they are not loaded. Role: observer.';
