-- Cancel those of the workflows that have not succeeded or failed, in one round, and tell who waits and who runs them.
-- Returns the ids that it cancelled. Locks: the workflow rows (no key update, in id order).
create or replace function pyengine._cancel_workflows(workflow_ids text[])
returns text[]
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
    v_now timestamptz;
    v_active text[];
    v_running text[];
    v_queue_names text[];
begin
    select coalesce(array_agg(w.workflow_id), '{}'), array_agg(w.workflow_id) filter (where w.status = 'PENDING'),
        array_agg(distinct w.queue_name) filter (where w.queue_name is not null)
    into v_active, v_running, v_queue_names
    from (select distinct u.workflow_id collate "C" as workflow_id from unnest(_cancel_workflows.workflow_ids) u (workflow_id) order by 1) i
    cross join lateral (
        select o.workflow_id, o.status, o.queue_name
        from pyengine.workflows o
        where o.workflow_id = i.workflow_id
            and o.status in ('PENDING', 'ENQUEUED', 'DELAYED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
        for no key update
    ) w;
    if v_active = '{}' then
        return v_active;
    end if;

    v_now := pyengine.now();
    update pyengine.workflows w
    set status = 'CANCELLED', lease_token = null, deduplication_id = null, delayed_until = null,
        finished_at = v_now, updated_at = v_now
    where w.workflow_id = any (v_active);

    perform pyengine._end_hibernations(v_active);
    perform pyengine._wake_ended(v_active, v_queue_names);
    perform pyengine._warn_owners(v_running);
    return v_active;
end
$$;

comment on function pyengine._cancel_workflows is 'Cancels those of the workflows that are active or dead letters; returns the ids that it cancelled.';
