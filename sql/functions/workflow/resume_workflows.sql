-- Make workflows that have not succeeded or failed runnable again, from their last checkpoint.
-- On another queue, or none, they have no partition key any more. A run that is under way loses its lease. Locks: the workflow rows (no key update, in id order).
create or replace function pyengine.resume_workflows(workflow_ids text[], queue_name text default null)
returns setof text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    v_resumed text[];
begin
    with wanted as materialized (
        select distinct i.workflow_id
        from unnest(resume_workflows.workflow_ids) i (workflow_id)
        order by i.workflow_id
    ), resumed as (
        update pyengine.workflows w
        set status = 'ENQUEUED', lease_token = null, queue_name = resume_workflows.queue_name, attempt_count = 0,
            partition_key = case when w.queue_name = resume_workflows.queue_name then w.partition_key end,
            is_serial = w.is_serial and w.queue_name = resume_workflows.queue_name is true,
            deduplication_id = null, delayed_until = null, deadline_at = null, started_at = null, finished_at = null,
            updated_at = pyengine.now()
        from wanted i
        where w.workflow_id = i.workflow_id and w.status not in ('SUCCESS', 'ERROR')
        returning w.workflow_id
    )
    select array_agg(r.workflow_id) into v_resumed from resumed r;

    perform pyengine._end_hibernations(v_resumed);
    perform pyengine._warn_owners(v_resumed);
    if v_resumed is not null then
        perform pyengine._wake(array[pyengine.wait_key('work', coalesce(resume_workflows.queue_name, ''))]);
    end if;
    return query select r.id from unnest(v_resumed) r (id);
end
$$;

comment on function pyengine.resume_workflows is 'Makes those of the workflows that have not succeeded or failed runnable again; returns the ids that it resumed. Role: client.';
