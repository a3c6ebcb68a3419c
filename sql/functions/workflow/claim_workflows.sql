-- Hand runnable workflows to an executor, each with its input and whole history, under the given lease token:
-- those without a queue first, then from the application's queues, as much as their limits allow. Hibernated ones that
-- are due come before those that have not begun.
-- Locks: what has become due (skipping locked rows), the rows of limited queues that have work (in name order), then the
-- bookmarks of what has become due, and the claimed workflow rows (no key update, skipping locked ones).
--
-- A repeated call with the same lease token returns what the first call claimed, so a lost reply strands nothing; it
-- waits for the first, if that still runs. Who knows that a call is the first says so (is_repeated => false), and saves
-- reading all that the executor runs.
-- A workflow that has used up its attempts is dead-lettered instead of claimed.
--
-- The commit is waited for only when starts under a rate limit were logged. If a claim is lost in a crash of the
-- server, so is its lease token, and what ran under it can write nothing: the workflow is claimed anew.
create or replace function pyengine.claim_workflows(
    executor_id bigint,
    lease_token uuid,
    claim_limit int,
    queue_names text[] default null,
    channel text default null,
    is_repeated boolean default true
)
returns setof pyengine.claimed_workflow
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_executor pyengine.executors;
    v_looker pyengine.executors;
    v_claimed text[];
    v_queue pyengine.workable_queue;
    v_queues pyengine.workable_queue[];
    v_promoted_keys bigint[];
    v_picked text[];
    v_more text[];
    v_numbers bigint[];
    v_is_logged boolean := false;
begin
    if claim_workflows.claim_limit between 1 and 10000 is not true then
        raise exception using errcode = 'PE400', message = 'claim_limit must be between 1 and 10000';
    end if;
    select e.*
    into v_executor
    from pyengine.executors e
    where e.executor_id = claim_workflows.executor_id and e.finished_at is null;
    if not found then
        raise exception using errcode = 'PE003',
            message = format('executor %s is no longer registered', claim_workflows.executor_id),
            detail = json_build_object('executor_id', claim_workflows.executor_id)::text;
    end if;

    perform pg_advisory_xact_lock(hashtextextended(claim_workflows.lease_token::text, 0));
    if claim_workflows.is_repeated then
        v_claimed := array(
            select w.workflow_id from pyengine.workflows w
            where w.executor_id = claim_workflows.executor_id and w.status = 'PENDING'
                and w.lease_token = claim_workflows.lease_token
        );
        if v_claimed <> '{}' then
            return query select c.* from pyengine._describe_claims(v_claimed) c;
            return;
        end if;
    end if;

    v_promoted_keys := pyengine._promote_delayed();
    -- Before the first workflow and the first bookmark: a fenced run may hold a queue and wait for what was resumed.
    v_looker := v_executor;
    if v_promoted_keys <> '{}' then
        v_looker.executor_id := null;  -- it has no bookmarks: what has become due may lie in front of them
    end if;
    v_queues := array(
        select q from pyengine._lock_queues(v_looker, claim_workflows.queue_names) q order by random());
    if v_promoted_keys <> '{}' then
        perform pyengine._remove_bookmarks(v_promoted_keys);
    end if;
    v_claimed := pyengine._claim_due(null, v_executor, claim_workflows.lease_token, claim_workflows.claim_limit);
    v_picked := pyengine._pick_from_order(null, v_executor, claim_workflows.claim_limit - cardinality(v_claimed));
    v_numbers := array_fill(null::bigint, array[cardinality(v_picked)]);
    foreach v_queue in array v_queues loop
        v_claimed := v_claimed || pyengine._claim_due(v_queue.queue, v_executor, claim_workflows.lease_token,
            claim_workflows.claim_limit - cardinality(v_claimed || v_picked));
        exit when cardinality(v_claimed || v_picked) >= claim_workflows.claim_limit;
        v_more := pyengine._pick_from_queue(v_queue.queue, v_executor,
            claim_workflows.claim_limit - cardinality(v_claimed || v_picked), v_queue.is_locked);
        v_picked := v_picked || v_more;
        v_numbers := v_numbers || array_fill(
            case when v_queue.is_locked then (v_queue.queue).claim_count end, array[cardinality(v_more)]);
        v_is_logged := v_is_logged
            or num_nonnulls((v_queue.queue).limiter_limit, (v_queue.queue).partition_limiter_limit) > 0;
    end loop;
    if not v_is_logged then
        perform set_config('synchronous_commit', 'off', true);
    end if;

    -- It may have been declared dead while this waited for a queue: then nobody would look for what it claims now.
    if v_claimed || v_picked <> '{}' and not exists (
        select 1 from pyengine.executors e
        where e.executor_id = claim_workflows.executor_id and e.finished_at is null
    ) then
        raise exception using errcode = 'PE003',
            message = format('executor %s is no longer registered', claim_workflows.executor_id),
            detail = json_build_object('executor_id', claim_workflows.executor_id)::text;
    end if;
    if v_picked <> '{}' then
        v_claimed := v_claimed || pyengine._lease_workflows(
            v_picked, claim_workflows.executor_id, claim_workflows.lease_token, v_numbers);
    end if;
    if v_claimed <> '{}' then
        if claim_workflows.channel is not null then
            perform pyengine.forget_waits(
                pyengine._work_keys(v_executor.application_name, claim_workflows.queue_names), claim_workflows.channel);
        end if;
        return query select c.* from pyengine._describe_claims(v_claimed) c;
    end if;
end
$$;

comment on function pyengine.claim_workflows is 'Hands up to claim_limit runnable workflows to an executor, with inputs and history, under one lease token; idempotent per token (is_repeated => false says that the token is new, which is quicker). queue_names restricts the queues; the waits of channel for work are taken back when something is claimed. Role: worker.';
