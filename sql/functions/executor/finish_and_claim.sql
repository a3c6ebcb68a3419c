-- Record how workflows ended and claim the next ones, in one call and one commit: the answers of finish_workflows as
-- kind "finishes", the claimed workflows as kind "claims" (their columns as json, the history's texts as in claim_workflows).
-- Locks: the finished workflows (no key update, in id order), so that their places in a queue are free, and only then
-- as claim_workflows. Nobody who holds a queue waits for the row of a workflow whose run ends here.
--
-- A claim alone need not wait for its commit; an outcome must.
create or replace function pyengine.finish_and_claim(
    outcomes json,
    executor_id bigint,
    lease_token uuid,
    claim_limit int,
    queue_names text[] default null,
    channel text default null
)
returns setof pyengine.batch_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_synchronous_commit text := current_setting('synchronous_commit');
begin
    return query
    select 'finishes', a.item, row_to_json(a) from pyengine.finish_workflows(finish_and_claim.outcomes) a;
    return query
    select 'claims', (row_number() over ())::int, row_to_json(c)
    from pyengine.claim_workflows(
        finish_and_claim.executor_id, finish_and_claim.lease_token, finish_and_claim.claim_limit,
        finish_and_claim.queue_names, finish_and_claim.channel) c;
    perform set_config('synchronous_commit', v_synchronous_commit, true);
end
$$;

comment on function pyengine.finish_and_claim is 'Records a json array of workflow outcomes and claims the next workflows in one commit: the refused outcomes (kind "finishes") and what was claimed (kind "claims"). Role: worker.';
