-- Hand runnable workflows to an executor, each with its input and whole history, under the given lease token.
-- Locks: the claimed workflow rows (no key update, skipping locked ones).
--
-- A repeated call with the same lease token returns what the first call claimed, so a lost reply strands nothing.
-- A workflow that has used up its attempts is dead-lettered instead of claimed. When nothing is claimable and a
-- channel is given, the channel is registered as waiting for work.
create or replace function pyengine.claim_workflows(
    executor_id bigint,
    lease_token uuid,
    claim_limit int,
    channel text default null
)
returns setof pyengine.claimed_workflow
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_executor record;
    v_candidates text[];
    v_claimed text[];
begin
    select e.application_name, e.application_version, e.functions
    into v_executor
    from pyengine.executors e
    where e.executor_id = claim_workflows.executor_id and e.finished_at is null;
    if not found then
        raise exception using errcode = 'PE001',
            message = format('executor %s is no longer registered', claim_workflows.executor_id),
            detail = json_build_object('executor_id', claim_workflows.executor_id)::text;
    end if;

    v_claimed := array(
        select w.workflow_id from pyengine.workflows w
        where w.executor_id = claim_workflows.executor_id and w.status = 'PENDING'
            and w.lease_token = claim_workflows.lease_token
    );
    if v_claimed = '{}' then
        v_candidates := array(
            select w.workflow_id
            from pyengine.workflows w
            where w.status = 'ENQUEUED' and w.queue_name is null
                and (w.application_name is null or w.application_name = v_executor.application_name)
                and (not w.version_is_pinned or w.application_version = v_executor.application_version)
                and pyengine.function_key(w.name, w.class_name, w.config_name) = any (v_executor.functions)
            order by w.priority, w.created_at, w.workflow_id
            limit claim_workflows.claim_limit
            for no key update skip locked
        );
        v_claimed := pyengine._lease_workflows(v_candidates, claim_workflows.executor_id, claim_workflows.lease_token);
    end if;

    if v_claimed = '{}' and v_candidates = '{}' and claim_workflows.channel is not null then
        perform pyengine._await_keys(array[pyengine.wait_key('work', '')], claim_workflows.channel);
    end if;
    return query select c.* from pyengine._describe_claims(v_claimed) c;
end
$$;

comment on function pyengine.claim_workflows is 'Hands up to claim_limit runnable workflows to an executor, with inputs and history, under one lease token; idempotent per token.';
