-- Say why steps were not stored: refused, fenced, cancelled, or the step has an outcome already.
create or replace function pyengine._answer_steps(requests json)
returns setof pyengine.step_answer
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
    select r.item, f.refusal,
        case f.refusal
            when 'PE400' then 'a step needs a workflow_id, a lease_token, a step_id of at least 1, a name and a serialization'
            when 'PE413' then format('the outcome of step %s of workflow %s is larger than the limit of %s bytes (max_payload_bytes)',
                r.step_id, r.workflow_id, pyengine._payload_limit())
            when 'PE404' then format('there is no workflow %s', r.workflow_id)
            when 'PE002' then format('workflow %s is cancelled', r.workflow_id)
            when 'PE001' then format('workflow %s is no longer owned by this run', r.workflow_id) end,
        s.name, s.child_workflow_id, s.serialization, s.output, s.error
    from pyengine._step_requests(_answer_steps.requests) r
    left join pyengine.workflows w on w.workflow_id = r.workflow_id
    cross join lateral (
        select case
            when r.refusal is not null then r.refusal
            when w.workflow_id is null then 'PE404'
            when w.status = 'CANCELLED' then 'PE002'
            when w.lease_token is distinct from r.lease_token then 'PE001' end as refusal
    ) f
    left join pyengine.steps s on f.refusal is null and s.workflow_id = r.workflow_id and s.step_id = r.step_id;
end
$$;

comment on function pyengine._answer_steps is 'Explains the steps that were not stored; for a step that has an outcome already, gives that outcome.';
