-- The outcomes of those workflows that have ended. For the others the channel is registered as waiting, if one is given.
--
-- A workflow that ends in a transaction which looked at the waiters just before this one committed wakes nobody:
-- whoever waits calls again at growing intervals.
create or replace function pyengine.await_workflows(workflow_ids text[], channel text default null)
returns setof pyengine.outcome
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
    v_waiting bigint[];
begin
    if await_workflows.channel is not null then
        select array_agg(pyengine.wait_key('result', i.workflow_id))
        into v_waiting
        from unnest(await_workflows.workflow_ids) i (workflow_id)
        where not exists (
            select 1 from pyengine.workflows w
            where w.workflow_id = i.workflow_id and w.finished_at is not null
        );
        if v_waiting is not null then
            perform pyengine._await_keys(v_waiting, await_workflows.channel);
        end if;
    end if;

    return query
    select w.workflow_id, w.status, w.serialization, w.output, w.error
    from pyengine.workflows w
    where w.workflow_id = any (await_workflows.workflow_ids) and w.finished_at is not null;
end
$$;

comment on function pyengine.await_workflows is 'Outcomes of the workflows among these that have ended; registers the channel as waiting for the others. Role: client.';
