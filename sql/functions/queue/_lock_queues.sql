-- The queues that an executor may claim from now and that have claimable work; those with limits are locked.
-- Locks: the rows of limited queues (in name order), until the end of the claim: whoever claims from a limited queue
-- is alone, whatever arrives meanwhile and whatever versions share the queue.
--
-- One statement, so that a queue is either locked or was without limits: one that gets work or limits while this
-- waits for a lock is left for the next claim.
--
-- Under snapshots the lock is an update (of nothing), so that a claim that waited for another fails and is repeated, instead of
-- counting in an old snapshot. Under read committed each statement sees what was committed, so there a lock is enough:
-- while an old transaction keeps old versions of the row, each claim, enqueue and end would read all of them.
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
begin
    if current_setting('transaction_isolation') = 'read committed' then
        return query
        with workable as materialized (
            select n.queue_name, n.is_limited
            from pyengine._workable_queues(_lock_queues.executor, _lock_queues.queue_names) n
        ), locked as materialized (
            select l.*
            from pyengine.queues l
            where l.queue_name = any (array(select n.queue_name from workable n where n.is_limited))
            order by l.queue_name
            for no key update
        )
        select row(k.*)::pyengine.queues, true
        from locked k
        where not k.is_paused
        union all
        select q, false
        from workable n
        join pyengine.queues q on q.queue_name = n.queue_name
        where not n.is_limited;
        return;
    end if;
    return query
    with workable as materialized (
        select n.queue_name, n.is_limited
        from pyengine._workable_queues(_lock_queues.executor, _lock_queues.queue_names) n
    ), locked as (
        update pyengine.queues q
        set claim_count = q.claim_count
        from (select n.queue_name from workable n where n.is_limited order by n.queue_name) limited
        where q.queue_name = limited.queue_name
        returning q.*
    )
    select row(l.*)::pyengine.queues, true
    from locked l
    where not l.is_paused
    union all
    select q, false
    from workable n
    join pyengine.queues q on q.queue_name = n.queue_name
    where not n.is_limited;
end
$$;

comment on function pyengine._lock_queues is 'The queues an executor may claim from and that have work; those with limits are locked until the end of the transaction.';
