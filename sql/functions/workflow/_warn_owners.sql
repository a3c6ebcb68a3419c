-- Tell the processes that run these workflows that they lost them, so that they begin no further step.
-- Only a hint: without it a run is stopped by its next write.
create or replace function pyengine._warn_owners(workflow_ids text[])
returns void
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
begin
    perform pg_notify(e.channel, 'lease ' || pyengine.wait_key('result', w.workflow_id))
    from unnest(_warn_owners.workflow_ids) i (workflow_id)
    join pyengine.workflows w on w.workflow_id = i.workflow_id
    join pyengine.executors e on e.executor_id = w.executor_id
    where e.finished_at is null;
end
$$;

comment on function pyengine._warn_owners is 'Notifies the processes that run these workflows that they lost them.';
