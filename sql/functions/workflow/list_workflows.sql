-- Workflows that match all of the filters, oldest or newest first. A filter that is null filters nothing; of a list
-- any element may match. Prefixes are compared as they are, without wildcards.
--
-- Planned anew for each call, so that the filters that are null vanish and the others choose the index.
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
    row_offset int default null
)
returns setof pyengine.workflows
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
begin
    return query
    select w.*
    from pyengine.workflows w
    where (list_workflows.workflow_ids is null or w.workflow_id = any (list_workflows.workflow_ids))
        and (list_workflows.statuses is null or w.status = any (list_workflows.statuses))
        and (list_workflows.names is null or w.name = any (list_workflows.names))
        and (list_workflows.application_name is null or w.application_name is null
            or w.application_name = list_workflows.application_name)
        and (list_workflows.application_versions is null
            or w.application_version = any (list_workflows.application_versions))
        and (list_workflows.executor_names is null or w.executor_name = any (list_workflows.executor_names))
        and (list_workflows.queue_names is null or w.queue_name = any (list_workflows.queue_names))
        and (not list_workflows.queues_only or (w.queue_name is not null
            and (list_workflows.statuses is not null or w.status in ('ENQUEUED', 'DELAYED', 'PENDING'))))
        and (list_workflows.created_from is null or w.created_at >= list_workflows.created_from)
        and (list_workflows.created_to is null or w.created_at <= list_workflows.created_to)
        and (list_workflows.started_from is null or w.started_at >= list_workflows.started_from)
        and (list_workflows.started_to is null or w.started_at <= list_workflows.started_to)
        and (list_workflows.finished_from is null or w.finished_at >= list_workflows.finished_from)
        and (list_workflows.finished_to is null or w.finished_at <= list_workflows.finished_to)
        and (list_workflows.authenticated_users is null
            or w.authenticated_user = any (list_workflows.authenticated_users))
        and (list_workflows.parent_workflow_ids is null
            or w.parent_workflow_id = any (list_workflows.parent_workflow_ids))
        and (list_workflows.has_parent is null
            or (w.parent_workflow_id is not null) = list_workflows.has_parent)
        and (list_workflows.forked_from is null or w.forked_from = any (list_workflows.forked_from))
        and (list_workflows.is_fork is null or (w.forked_from is not null) = list_workflows.is_fork)
        and (list_workflows.was_forked_from is null or w.was_forked_from = list_workflows.was_forked_from)
        and (list_workflows.schedule_names is null or w.schedule_name = any (list_workflows.schedule_names))
        and (list_workflows.id_prefixes is null or exists (
            select 1 from unnest(list_workflows.id_prefixes) p (prefix)
            where starts_with(w.workflow_id, p.prefix)))
        and (list_workflows.attributes is null or w.attributes @> list_workflows.attributes)
    order by
        case when list_workflows.newest_first then w.created_at end desc,
        case when not list_workflows.newest_first then w.created_at end,
        w.workflow_id
    limit list_workflows.row_limit
    offset list_workflows.row_offset;
end
$$;

comment on function pyengine.list_workflows is 'Workflows that match all filters (null filters nothing, of a list any element matches), by age. Role: observer.';
