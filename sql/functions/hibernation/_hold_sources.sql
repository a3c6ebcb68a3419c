-- Lock the workflows that somebody waits for, so that none of the waits comes true meanwhile unseen.
-- False when one does not exist, or is locked by somebody. Locks: the workflow rows (share, in id order, skipping
-- locked ones). The waiting workflow itself is locked by the caller.
create or replace function pyengine._hold_sources(workflow_id text, waits json)
returns boolean
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
    v_source_ids text[] := array(
        select distinct r.id
        from json_to_recordset(_hold_sources.waits) as r (id text)
        where r.id <> _hold_sources.workflow_id
        order by r.id
    );
    v_held int;
begin
    select count(*)
    into v_held
    from unnest(v_source_ids) i (workflow_id)
    cross join lateral (
        select 1 from pyengine.workflows w where w.workflow_id = i.workflow_id for share skip locked
    ) w;
    return v_held = cardinality(v_source_ids);
end
$$;

comment on function pyengine._hold_sources is 'Locks the workflows that are waited for; false when one is missing or not free.';
