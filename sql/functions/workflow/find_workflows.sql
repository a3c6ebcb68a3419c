-- Workflows by id; unknown ids are left out.
create or replace function pyengine.find_workflows(workflow_ids text[])
returns setof pyengine.workflows
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
    select w.*
    from pyengine.workflows w
    where w.workflow_id = any (find_workflows.workflow_ids)
    order by w.created_at, w.workflow_id;
end
$$;

comment on function pyengine.find_workflows is 'The workflows with these ids, oldest first; unknown ids are left out. Role: observer.';
