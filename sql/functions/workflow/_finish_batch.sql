-- Record a batch of outcomes as finish_workflows says.
-- Locks: the workflow rows (no key update, in id order).
create or replace function pyengine._finish_batch(requests json)
returns setof pyengine.finish_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := pyengine.now();
    v_asked int;
    v_finished int[];
    v_ids text[];
    v_queue_names text[];
begin
    with request as materialized (
        select r.*
        from pyengine._finish_requests(_finish_batch.requests) r
    ), finished as (
        update pyengine.workflows w
        set status = case when r.error is null then 'SUCCESS' else 'ERROR' end,
            output = r.output, error = r.error, serialization = coalesce(r.serialization, w.serialization),
            lease_token = null, deduplication_id = null, finished_at = v_now, updated_at = v_now
        from (select q.* from request q where q.refusal is null order by q.workflow_id collate "C") r
        where w.workflow_id = r.workflow_id and w.lease_token = r.lease_token
        returning r.item, w.workflow_id, w.queue_name
    )
    select (select count(*) from request), coalesce(array_agg(f.item), '{}'), array_agg(f.workflow_id),
        array_agg(distinct f.queue_name)
    into v_asked, v_finished, v_ids, v_queue_names
    from finished f;

    perform pyengine._wake_ended(v_ids, v_queue_names);

    if cardinality(v_finished) < v_asked then
        return query select a.* from pyengine._answer_finishes(_finish_batch.requests, v_finished) a;
    end if;
end
$$;

comment on function pyengine._finish_batch is 'Records a json array of workflow outcomes.';
