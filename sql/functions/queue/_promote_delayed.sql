-- Make delayed workflows that are due claimable. A debounced one lets its key go: the next call starts another.
-- Locks: the settings row (no key update, not waiting for it), then the workflow rows (no key update, skipping locked
-- ones).
--
-- The caller removes the bookmarks of these queues, behind which their old places may lie, when it has locked the queues
-- that it needs: who holds a bookmark waits for nothing that comes before it.
--
-- One transaction promotes at a time. Two would meet: the second would lock, with its older snapshot, what the first
-- has just made claimable, and keep it from those who claim while the second waits for a queue.
create or replace function pyengine._promote_delayed()
returns bigint[]
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    -- A variable, because the index can't be asked about a function whose value changes.
    v_now timestamptz := pyengine.now();
    v_due text[];
    v_work_keys bigint[];
begin
    if not exists (
        select 1 from pyengine.workflows w where w.status = 'DELAYED' and w.delayed_until <= v_now
    ) then
        return '{}'::bigint[];
    end if;
    perform 1 from pyengine.settings s for no key update skip locked;
    if not found then
        return '{}'::bigint[];
    end if;
    v_due := array(
        select w.workflow_id
        from pyengine.workflows w
        where w.status = 'DELAYED' and w.delayed_until <= v_now
        order by w.delayed_until
        limit 1000
        for no key update skip locked
    );
    if v_due = '{}' then
        return '{}'::bigint[];
    end if;
    with promoted as (
        update pyengine.workflows w
        set status = 'ENQUEUED', updated_at = v_now,
            deduplication_id = case when w.debounce_until is null then w.deduplication_id end
        where w.workflow_id = any (v_due)
        returning w.queue_name
    )
    select array_agg(distinct pyengine.wait_key('work', coalesce(p.queue_name, ''))) into v_work_keys from promoted p;
    return v_work_keys;
end
$$;

comment on function pyengine._promote_delayed is 'Makes up to 1000 delayed workflows that are due claimable; returns the keys of the work of their queues.';
