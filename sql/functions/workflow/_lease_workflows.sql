-- Lease workflows that the caller has locked: count the attempt, or dead-letter those without attempts left. Those that
-- were started without a number of attempts get that of the executor's function.
-- Each gets the number of its claim, where that was made under the lock of its queue.
-- Hibernated ones (PENDING) go on with their attempt, which is neither counted again nor the last.
create or replace function pyengine._lease_workflows(
    workflow_ids text[],
    executor_id bigint,
    lease_token uuid,
    claim_numbers bigint[] default null
)
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
    v_now timestamptz := pyengine.now();
    v_executor_name text;
    v_limits jsonb;
    v_leased text[];
    v_dead text[];
begin
    select e.name, e.attempt_limits
    into v_executor_name, v_limits
    from pyengine.executors e
    where e.executor_id = _lease_workflows.executor_id;
    with leased as (
        update pyengine.workflows w
        set status = 'PENDING', lease_token = _lease_workflows.lease_token,
            executor_id = _lease_workflows.executor_id, executor_name = v_executor_name,
            claim_number = i.claim_number,
            attempt_count = w.attempt_count + (w.status <> 'PENDING')::int,
            max_attempts = coalesce(
                w.max_attempts, pyengine._attempt_limit(v_limits, w.name, w.class_name, w.config_name)),
            started_at = case when w.status = 'PENDING' then w.started_at else v_now end,
            deadline_at = coalesce(w.deadline_at, v_now + w.timeout), updated_at = v_now
        from unnest(_lease_workflows.workflow_ids, _lease_workflows.claim_numbers) i (workflow_id, claim_number)
        where w.workflow_id = i.workflow_id
            and (w.status = 'PENDING' or w.attempt_count < coalesce(w.max_attempts,
                pyengine._attempt_limit(v_limits, w.name, w.class_name, w.config_name)) is not false)
        returning w.workflow_id
    )
    select coalesce(array_agg(c.workflow_id), '{}') into v_leased from leased c;

    if cardinality(v_leased) < cardinality(_lease_workflows.workflow_ids) then
        with dead as (
            update pyengine.workflows w
            set status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', deduplication_id = null, finished_at = v_now, updated_at = v_now,
                max_attempts = coalesce(
                    w.max_attempts, pyengine._attempt_limit(v_limits, w.name, w.class_name, w.config_name))
            from unnest(_lease_workflows.workflow_ids) i (workflow_id)
            where w.workflow_id = i.workflow_id and w.workflow_id <> all (v_leased)
            returning w.workflow_id
        )
        select array_agg(d.workflow_id) into v_dead from dead d;
        perform pyengine._wake_ended(v_dead, null);
    end if;
    return v_leased;
end
$$;

comment on function pyengine._lease_workflows is 'Leases locked workflows to an executor and returns their ids; those without attempts left are dead-lettered.';
