-- The queues that an executor may claim from now and that have claimable work; those with limits are locked.
-- Locks: the rows of limited queues (in name order), until the end of the claim: whoever claims from a limited queue
-- is alone, whatever arrives meanwhile and whatever versions share the queue.
--
-- One statement, so that a queue is either locked or was without limits: one that gets work or limits while this
-- waits for a lock is left for the next claim.
--
-- Under read committed each statement sees what was committed, so a lock is enough: were it an update, then beside an old
-- transaction, for which all versions of the row are kept, each claim, enqueue and end would read them all.
--
-- Under snapshots the lock is an update, so that a claim that waited for another fails and is repeated, instead of
-- counting in an old snapshot. Claims under read committed update the row too while there are such claims, or those would
-- not fail after them: `snapshot_claims_until` says so. Where it does not yet, a claim under a snapshot takes nothing from
-- the queue, and says so for the next ones.
create or replace function pyengine._lock_queues(executor pyengine.executors, queue_names text[])
returns setof pyengine.workable_queue
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
    v_found pyengine.workable_queue[];
    v_shared text[];
begin
    if current_setting('transaction_isolation') = 'read committed' then
        with workable as materialized (
            select n.queue_name, n.is_limited
            from pyengine._workable_queues(_lock_queues.executor, _lock_queues.queue_names) n
        ), locked as materialized (
            select l.*
            from pyengine.queues l
            where l.queue_name = any (array(select n.queue_name from workable n where n.is_limited))
            order by l.queue_name
            for no key update
        ), found as (
            select row(k.*)::pyengine.queues as queue, true as is_locked
            from locked k
            where not k.is_paused
            union all
            select q, false
            from workable n
            join pyengine.queues q on q.queue_name = n.queue_name
            where not n.is_limited
        )
        select array_agg(row(f.queue, f.is_locked)::pyengine.workable_queue),
            array_agg((f.queue).queue_name)
                filter (where f.is_locked and (f.queue).snapshot_claims_until > pyengine.now())
        into v_found, v_shared
        from found f;
        if v_shared is not null then
            update pyengine.queues q set claim_count = q.claim_count where q.queue_name = any (v_shared);
        end if;
        return query select f.queue, f.is_locked from unnest(v_found) f;
        return;
    end if;
    return query
    with workable as materialized (
        -- What this transaction has said itself, others do not know yet.
        select n.queue_name, n.is_limited,
            case when q.xmin is distinct from pg_current_xact_id_if_assigned()::xid then q.snapshot_claims_until end
                as snapshot_claims_until
        from pyengine._workable_queues(_lock_queues.executor, _lock_queues.queue_names) n
        join pyengine.queues q on q.queue_name = n.queue_name
    ), locked as (
        update pyengine.queues q
        set snapshot_claims_until = pyengine.now() + interval '1 hour'
        from (select n.* from workable n where n.is_limited order by n.queue_name) limited
        where q.queue_name = limited.queue_name
        returning row(q.*)::pyengine.queues as queue, limited.snapshot_claims_until > pyengine.now() as is_known
    )
    select l.queue, true
    from locked l
    where not (l.queue).is_paused and l.is_known
    union all
    select q, false
    from workable n
    join pyengine.queues q on q.queue_name = n.queue_name
    where not n.is_limited;
end
$$;

comment on function pyengine._lock_queues is 'The queues an executor may claim from and that have work; those with limits are locked until the end of the transaction.';
