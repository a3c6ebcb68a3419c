-- One round of upkeep, in bounded batches: cancel what is past its deadline, and remove what retention lets go and
-- processes that ended a day ago.
-- Locks: the row of upkeep (skipping it: then another process is at it), the row of a retention policy, executors, then
-- workflow rows (skipping locked ones).
--
-- Once a day it looks whether the history is large and no policy limits it; the caller should tell somebody.
create or replace function pyengine.run_chores(batch_limit int default 1000)
returns setof pyengine.chores_result
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_checked_at timestamptz;
    v_forgotten int;
    v_policy pyengine.retention_policies;
    v_result pyengine.chores_result := row(0, 0, null, false);
begin
    select u.history_checked_at into v_checked_at from pyengine.upkeep u for update skip locked;
    if not found then
        return next v_result;
        return;
    end if;
    v_forgotten := pyengine._forget_executors(run_chores.batch_limit);
    v_result.overdue_workflows := pyengine._cancel_overdue(run_chores.batch_limit);

    select r.* into v_policy
    from pyengine.retention_policies r
    where r.next_at <= v_now
    order by r.next_at
    limit 1
    for update skip locked;
    if found then
        v_result.pruned_workflows := pyengine._prune_workflows(v_policy, run_chores.batch_limit);
    end if;

    if v_checked_at < v_now - interval '1 day' then
        update pyengine.upkeep u set history_checked_at = v_now;
        if not exists (select 1 from pyengine.retention_policies) then
            select c.reltuples::bigint into v_result.unlimited_history
            from pg_class c
            where c.oid = (select w.tableoid from pyengine.workflows w limit 1) and c.reltuples > 1000000;
        end if;
    end if;
    v_result.is_more := run_chores.batch_limit in (v_result.overdue_workflows, v_forgotten)
        or exists (select 1 from pyengine.retention_policies r where r.next_at <= pyengine.now());
    return next v_result;
end
$$;

comment on function pyengine.run_chores is 'One round of upkeep: cancels what is past its deadline and removes what retention lets go and processes that ended a day ago, each up to batch_limit; nothing if another process is at it. Role: worker.';
