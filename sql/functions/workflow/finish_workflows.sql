-- Record how workflows ended: SUCCESS with an output, or ERROR with an error. Wakes those who wait for the result,
-- and who waits for a free place in the queue.
-- Locks: the workflow rows (no key update, in id order).
--
-- Answers only for outcomes that it refused. A repeated call with the same lease token and outcome is refused as
-- fenced, and the caller finds its own outcome stored. An outcome alone, given as an object, takes the short way: it
-- costs half of what the statement for a batch does.
create or replace function pyengine.finish_workflows(requests json)
returns setof pyengine.finish_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_outcome pyengine.finish_request;
    v_queue_name text;
begin
    if json_typeof(finish_workflows.requests) = 'object' then
        v_outcome := json_populate_record(null::pyengine.finish_request, finish_workflows.requests);
        if pyengine._finish_refusal(v_outcome) is null then
            update pyengine.workflows w
            set status = case when v_outcome.error is null then 'SUCCESS' else 'ERROR' end,
                output = v_outcome.output, error = v_outcome.error,
                serialization = coalesce(v_outcome.serialization, w.serialization),
                lease_token = null, deduplication_id = null, finished_at = v_now, updated_at = v_now
            where w.workflow_id = v_outcome.workflow_id and w.lease_token = v_outcome.lease_token
            returning w.queue_name into v_queue_name;
            if found then
                if v_queue_name is null then
                    perform pyengine._wake(array[pyengine.wait_key('result', v_outcome.workflow_id)]);
                else
                    perform pyengine._wake_ended(array[v_outcome.workflow_id], array[v_queue_name]);
                end if;
                return;
            end if;
        end if;
    end if;
    return query select a.* from pyengine._finish_batch(pyengine._as_batch(finish_workflows.requests)) a;
end
$$;

comment on function pyengine.finish_workflows is 'Records workflow outcomes (a json array of documents, or one) in one commit, each under the lease of its run; answers only for those that it refused. Role: worker.';
