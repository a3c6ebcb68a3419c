-- Claim hibernated workflows of a queue (null: without a queue) that are due. They are leased at once, so that what is
-- claimed afterwards counts them as running in this executor. Locks: as _pick_due, then their rows of hibernations.
create or replace function pyengine._claim_due(
    queue pyengine.queues,
    executor pyengine.executors,
    lease_token uuid,
    claim_limit int
)
returns text[]
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_queue_name text := coalesce((_claim_due.queue).queue_name, '');
    v_now timestamptz := pyengine.now();
    v_picked text[];
begin
    if not exists (
        select 1 from pyengine.hibernations h where h.queue_name = v_queue_name and h.due_at <= v_now
    ) then
        return '{}'::text[];
    end if;
    v_picked := pyengine._pick_due(_claim_due.queue, _claim_due.executor, _claim_due.claim_limit);
    if v_picked = '{}' then
        return v_picked;
    end if;
    perform pyengine._end_hibernations(v_picked);
    return pyengine._lease_workflows(v_picked, (_claim_due.executor).executor_id, _claim_due.lease_token);
end
$$;

comment on function pyengine._claim_due is 'Claims hibernated workflows of a queue that are due; returns their ids.';
