-- Make workflows that have not succeeded or failed runnable again, from their last checkpoint, with fresh attempts and
-- without a deadline. On another queue, or none, they have no partition key any more. A run that is under way loses
-- its lease. Answers with the ids that this call resumed. Locks: the workflow rows (no key update, in id order).
--
-- A repeated call with the same request_token resumes nothing again, so a lost reply does not take a workflow from
-- the run that began meanwhile.
create or replace function pyengine.resume_workflows(
    workflow_ids text[],
    queue_name text default null,
    request_token uuid default null
)
returns setof text
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
    v_resumed text[];
    v_running text[];
    v_queue_names text[];
begin
    if resume_workflows.queue_name is not null then
        perform pyengine._check_queue_name(resume_workflows.queue_name);
    end if;
    select coalesce(array_agg(w.workflow_id), '{}'), array_agg(w.workflow_id) filter (where w.status = 'PENDING'),
        array_agg(distinct coalesce(w.queue_name, '')) || coalesce(resume_workflows.queue_name, '')
    into v_resumed, v_running, v_queue_names
    from (select distinct u.workflow_id collate "C" as workflow_id from unnest(resume_workflows.workflow_ids) u (workflow_id) order by 1) i
    cross join lateral (
        select o.workflow_id, o.status, o.queue_name
        from pyengine.workflows o
        where o.workflow_id = i.workflow_id and o.status not in ('SUCCESS', 'ERROR')
            and (resume_workflows.request_token is null
                or o.request_token is distinct from resume_workflows.request_token)
        for no key update
    ) w;

    if v_resumed <> '{}' then
        update pyengine.workflows w
        set status = 'ENQUEUED', lease_token = null, request_token = resume_workflows.request_token,
            queue_name = resume_workflows.queue_name, attempt_count = 0,
            partition_key = case when w.queue_name = resume_workflows.queue_name then w.partition_key end,
            is_serial = w.is_serial and w.queue_name = resume_workflows.queue_name is true,
            deduplication_id = null, delayed_until = null, deadline_at = null, started_at = null, finished_at = null,
            updated_at = pyengine.now()
        where w.workflow_id = any (v_resumed);
        perform pyengine._end_hibernations(v_resumed);
        perform pyengine._warn_owners(v_running);
        perform pyengine._wake_returned(array(select pyengine.wait_key('work', n.queue_name) from unnest(v_queue_names) n (queue_name)));
    end if;
    return query
    select w.workflow_id::text
    from pyengine.workflows w
    where w.workflow_id = any (resume_workflows.workflow_ids)
        and (w.workflow_id = any (v_resumed) or w.request_token = resume_workflows.request_token);
end
$$;

comment on function pyengine.resume_workflows is 'Makes those of the workflows that have not succeeded or failed runnable again; returns the ids that it resumed. Idempotent per request_token. Role: client.';
