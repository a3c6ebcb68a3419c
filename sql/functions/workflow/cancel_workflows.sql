-- Cancel workflows that have not finished: their runs are refused every further write, and who waits is told.
-- Locks: the workflow rows (no key update, in id order).
create or replace function pyengine.cancel_workflows(workflow_ids text[])
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
    v_now timestamptz := pyengine.now();
    v_cancelled text[];
    v_queue_names text[];
begin
    with wanted as materialized (
        select distinct i.workflow_id
        from unnest(cancel_workflows.workflow_ids) i (workflow_id)
        order by i.workflow_id
    ), cancelled as (
        update pyengine.workflows w
        set status = 'CANCELLED', lease_token = null, deduplication_id = null, delayed_until = null,
            finished_at = v_now, updated_at = v_now
        from wanted i
        where w.workflow_id = i.workflow_id
            and w.status in ('PENDING', 'ENQUEUED', 'DELAYED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
        returning w.workflow_id, w.queue_name
    )
    select array_agg(c.workflow_id), array_agg(distinct c.queue_name) filter (where c.queue_name is not null)
    into v_cancelled, v_queue_names
    from cancelled c;

    perform pyengine._end_hibernations(v_cancelled);
    perform pyengine._wake_ended(v_cancelled, v_queue_names);
    perform pyengine._warn_owners(v_cancelled);
    return query select c.id from unnest(v_cancelled) c (id);
end
$$;

comment on function pyengine.cancel_workflows is 'Cancels those of the workflows that have not succeeded or failed; returns the ids that it cancelled. Role: client.';
