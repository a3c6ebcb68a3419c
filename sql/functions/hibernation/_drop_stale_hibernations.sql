-- Remove due rows of workflows that do not hibernate any more: they were locked when their workflow was claimed.
-- It looks at the 100 longest due of each queue; the rest comes later.
-- Locks: the workflow rows (no key update, skipping locked ones), then their rows of hibernations.
--
-- A workflow is looked at under its lock, so that it can't hibernate anew meanwhile.
create or replace function pyengine._drop_stale_hibernations()
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    v_before timestamptz := pyengine.now() - interval '10 seconds';
    v_stale text[];
begin
    v_stale := array(
        select w.workflow_id
        from (select '' as queue_name union all select q.queue_name from pyengine.queues q) n
        cross join lateral (
            select d.workflow_id
            from pyengine.hibernations d
            where d.queue_name = n.queue_name and d.due_at < v_before
            order by d.due_at
            limit 100
        ) h
        cross join lateral (
            select o.workflow_id
            from pyengine.workflows o
            where o.workflow_id = h.workflow_id and (o.status <> 'PENDING' or o.lease_token is not null)
            for no key update skip locked
        ) w
    );
    if v_stale <> '{}' then
        perform pyengine._end_hibernations(v_stale);
    end if;
end
$$;

comment on function pyengine._drop_stale_hibernations is 'Removes what is left in hibernations of workflows that do not hibernate any more.';
