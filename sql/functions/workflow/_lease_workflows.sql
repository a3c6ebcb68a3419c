-- Lease workflows that the caller has locked: count the attempt, or dead-letter those without attempts left.
-- Hibernated ones (PENDING) go on with their attempt, which is neither counted again nor the last.
create or replace function pyengine._lease_workflows(workflow_ids text[], executor_id bigint, lease_token uuid)
returns text[]
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
    v_executor_name text := (
        select e.name from pyengine.executors e where e.executor_id = _lease_workflows.executor_id);
    v_leased text[];
    v_dead text[];
begin
    with changed as (
        update pyengine.workflows w
        set status = case when a.is_dead then 'MAX_RECOVERY_ATTEMPTS_EXCEEDED' else 'PENDING' end,
            lease_token = case when not a.is_dead then _lease_workflows.lease_token end,
            executor_id = case when a.is_dead then w.executor_id else _lease_workflows.executor_id end,
            executor_name = case when a.is_dead then w.executor_name else v_executor_name end,
            attempt_count = w.attempt_count + (not a.is_dead and w.status <> 'PENDING')::int,
            deduplication_id = case when not a.is_dead then w.deduplication_id end,
            started_at = case when a.is_dead or w.status = 'PENDING' then w.started_at else v_now end,
            deadline_at = case when a.is_dead then w.deadline_at else coalesce(w.deadline_at, v_now + w.timeout) end,
            finished_at = case when a.is_dead then v_now end,
            updated_at = v_now
        from unnest(_lease_workflows.workflow_ids) i (workflow_id)
        cross join lateral (
            select o.status <> 'PENDING' and o.attempt_count >= o.max_attempts is true as is_dead
            from pyengine.workflows o where o.workflow_id = i.workflow_id
        ) a
        where w.workflow_id = i.workflow_id
        returning w.workflow_id, a.is_dead
    )
    select coalesce(array_agg(c.workflow_id) filter (where not c.is_dead), '{}'),
        array_agg(c.workflow_id) filter (where c.is_dead)
    into v_leased, v_dead
    from changed c;

    if v_dead is not null then
        perform pyengine._wake_ended(v_dead, null);
    end if;
    return v_leased;
end
$$;

comment on function pyengine._lease_workflows is 'Leases locked workflows to an executor and returns their ids; those without attempts left are dead-lettered.';
