-- Workflows that the caller has locked do not hibernate any more: they were claimed, cancelled, resumed or deleted.
-- Locks: the rows of hibernations (skipping locked ones: whoever makes one due may take long to commit; such a row is
-- removed by _drop_stale_hibernations).
create or replace function pyengine._end_hibernations(workflow_ids text[])
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
    delete from pyengine.hibernations h
    where (h.workflow_id, h.wait_key) in (
        select o.workflow_id, o.wait_key
        from pyengine.hibernations o
        where o.workflow_id = any (_end_hibernations.workflow_ids)
        for update skip locked
    );
end
$$;

comment on function pyengine._end_hibernations is 'Forgets what workflows waited for in hibernation.';
