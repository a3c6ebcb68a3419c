-- Record how workflows ended: SUCCESS with an output, or ERROR with an error. Wakes those who wait for the result,
-- and who waits for a free place in the queue.
-- Locks: the workflow rows (no key update, in id order).
--
-- Answers only for outcomes that it refused. A repeated call with the same lease token and outcome is refused as
-- fenced, and the caller finds its own outcome stored.
create or replace function pyengine.finish_workflows(requests json)
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
        from pyengine._finish_requests(finish_workflows.requests) r
    ), finished as (
        update pyengine.workflows w
        set status = case when r.error is null then 'SUCCESS' else 'ERROR' end,
            output = r.output, error = r.error, serialization = coalesce(r.serialization, w.serialization),
            lease_token = null, deduplication_id = null, finished_at = v_now, updated_at = v_now
        from (select q.* from request q where q.refusal is null order by q.workflow_id) r
        where w.workflow_id = r.workflow_id and w.lease_token = r.lease_token
        returning r.item, w.workflow_id, w.queue_name
    )
    select (select count(*) from request), coalesce(array_agg(f.item), '{}'), array_agg(f.workflow_id),
        array_agg(distinct f.queue_name) filter (where f.queue_name is not null)
    into v_asked, v_finished, v_ids, v_queue_names
    from finished f;

    perform pyengine._wake_ended(v_ids, v_queue_names);

    if cardinality(v_finished) < v_asked then
        return query select a.* from pyengine._answer_finishes(finish_workflows.requests, v_finished) a;
    end if;
end
$$;

comment on function pyengine.finish_workflows is 'Records a json array of workflow outcomes in one commit, each under the lease of its run; answers only for those that it refused. Role: worker.';
