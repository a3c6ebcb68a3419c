-- Say why outcomes were refused; `finished` are the items that were not.
create or replace function pyengine._answer_finishes(requests json, finished int[])
returns setof pyengine.finish_answer
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
            when 'PE400' then 'an outcome needs a workflow_id and a lease_token'
            when 'PE413' then format('the outcome of workflow %s is larger than the limit of %s bytes (max_payload_bytes)',
                r.workflow_id, pyengine._payload_limit())
            when 'PE404' then format('there is no workflow %s', r.workflow_id)
            when 'PE002' then format('workflow %s is cancelled', r.workflow_id)
            else format('workflow %s is no longer owned by this run', r.workflow_id) end
    from pyengine._finish_requests(_answer_finishes.requests) r
    left join pyengine.workflows w on w.workflow_id = r.workflow_id
    cross join lateral (
        select case
            when r.refusal is not null then r.refusal
            when w.workflow_id is null then 'PE404'
            when w.status = 'CANCELLED' then 'PE002'
            else 'PE001' end as refusal
    ) f
    where r.item <> all (_answer_finishes.finished);
end
$$;

comment on function pyengine._answer_finishes is 'Explains the outcomes that were refused.';
