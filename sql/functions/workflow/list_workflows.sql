-- Workflows that match all of the filters, oldest or newest first. A filter that is null filters nothing; of a list
-- any element may match. Prefixes are compared as they are, without wildcards. A condition is a json tree, as
-- described in sql/README.md.
--
-- The statement is made of the filters that are given and planned with their values, so that each finds its index.
-- Its text consists of the constants below and of what _condition_sql makes; values are parameters.
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
as $$
declare
    v_statuses text[] := case when list_workflows.statuses is null and list_workflows.queues_only
        then array['ENQUEUED', 'DELAYED', 'PENDING'] else list_workflows.statuses end;
    -- A workflow is created before it starts and ends: that bounds the search by age as well.
    v_created_to timestamptz := least(
        list_workflows.created_to, list_workflows.started_to, list_workflows.finished_to);
    v_conditions text[] := array_remove(array[
        case when list_workflows.workflow_ids is not null then 'w.workflow_id = any ($1)' end,
        (select coalesce(string_agg(pyengine._status_sql(s.status), ' or '), 'false')
         from unnest(v_statuses) s (status) having v_statuses is not null),
        case when list_workflows.names is not null then 'w.name = any ($2)' end,
        case when list_workflows.application_name is not null
            then 'w.application_name is null or w.application_name = $3' end,
        case when list_workflows.application_versions is not null then 'w.application_version = any ($4)' end,
        case when list_workflows.executor_names is not null then 'w.executor_name = any ($5)' end,
        case when list_workflows.queue_names is not null then 'w.queue_name = any ($6)' end,
        case when list_workflows.queues_only then 'w.queue_name is not null' end,
        case when list_workflows.created_from is not null then 'w.created_at >= $7' end,
        case when v_created_to is not null then 'w.created_at <= $8' end,
        case when list_workflows.started_from is not null then 'w.started_at >= $9' end,
        case when list_workflows.started_to is not null then 'w.started_at <= $10' end,
        case when list_workflows.finished_from is not null then 'w.finished_at >= $11' end,
        case when list_workflows.finished_to is not null then 'w.finished_at <= $12' end,
        case when list_workflows.authenticated_users is not null then 'w.authenticated_user = any ($13)' end,
        case when list_workflows.parent_workflow_ids is not null then 'w.parent_workflow_id = any ($14)' end,
        case list_workflows.has_parent when true then 'w.parent_workflow_id is not null'
            when false then 'w.parent_workflow_id is null' end,
        case when list_workflows.forked_from is not null then 'w.forked_from = any ($15)' end,
        case list_workflows.is_fork when true then 'w.forked_from is not null'
            when false then 'w.forked_from is null' end,
        case list_workflows.was_forked_from when true then 'w.was_forked_from' when false then 'not w.was_forked_from' end,
        case when list_workflows.schedule_names is not null then 'w.schedule_name = any ($16)' end,
        (select coalesce(string_agg(format('starts_with(w.workflow_id, ($17)[%s])', p.n), ' or '), 'false')
         from generate_subscripts(list_workflows.id_prefixes, 1) p (n) having list_workflows.id_prefixes is not null),
        case when list_workflows.attributes is not null then 'w.attributes @> $18' end,
        pyengine._condition_sql(list_workflows.condition)
    ], null);
begin
    return query execute format(
        'select %s from %s w where %s order by w.created_at %s, w.workflow_id limit $19 offset $20',
        pyengine._workflow_columns_sql(list_workflows.load_input, list_workflows.load_output),
        pg_typeof(null::pyengine.workflows),
        '(' || coalesce(nullif(array_to_string(v_conditions, ') and ('), ''), 'true') || ')',
        case when list_workflows.newest_first then 'desc' else 'asc' end
    )
    using list_workflows.workflow_ids, list_workflows.names, list_workflows.application_name,
        list_workflows.application_versions, list_workflows.executor_names, list_workflows.queue_names,
        list_workflows.created_from, v_created_to, list_workflows.started_from, list_workflows.started_to,
        list_workflows.finished_from, list_workflows.finished_to, list_workflows.authenticated_users,
        list_workflows.parent_workflow_ids, list_workflows.forked_from, list_workflows.schedule_names,
        list_workflows.id_prefixes, list_workflows.attributes, list_workflows.row_limit, list_workflows.row_offset;
end
$$;

comment on function pyengine.list_workflows is 'Workflows that match all filters (null filters nothing, of a list any element matches), by age. condition is a tree as _condition_sql reads it; payloads are null where they are not loaded. Role: observer.';
