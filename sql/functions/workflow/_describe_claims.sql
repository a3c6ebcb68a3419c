-- Claimed workflows with their inputs and the history of their generation, in claim order: everything that a run needs, in one answer.
create or replace function pyengine._describe_claims(workflow_ids text[])
returns setof pyengine.claimed_workflow
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
    select w.workflow_id, w.name, w.class_name, w.config_name, w.attempt_count, w.queue_name, w.deadline_at,
        w.authenticated_user, w.assumed_role, w.authenticated_roles, w.serialization, w.inputs,
        h.step_ids, h.step_names, h.step_children, h.step_serializations, h.step_outputs, h.step_errors, pyengine.now(),
        w.base_step_id
    from pyengine.workflows w
    cross join lateral (
        select array_agg(s.step_id) as step_ids, array_agg(s.name) as step_names,
            array_agg(s.child_workflow_id::text) as step_children, array_agg(s.serialization) as step_serializations,
            array_agg(s.output::text) as step_outputs, array_agg(s.error::text) as step_errors
        from (
            select t.*
            from pyengine.steps t
            where t.workflow_id = w.workflow_id and t.step_id > w.base_step_id
            order by t.step_id
        ) s
    ) h
    where w.workflow_id = any (_describe_claims.workflow_ids)
    order by w.priority, w.created_at, w.workflow_id;
end
$$;

comment on function pyengine._describe_claims is 'Claimed workflows with inputs and history.';
