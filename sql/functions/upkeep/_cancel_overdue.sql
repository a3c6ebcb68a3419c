-- Cancel workflows whose deadline has passed, wherever they are: running, queued, delayed or hibernated. Returns how many.
-- Locks: the workflow rows (no key update, skipping locked ones: a later call finds them).
create or replace function pyengine._cancel_overdue(batch_limit int)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    -- A variable, because the index can't be asked about a function whose value changes.
    v_now timestamptz := pyengine.now();
    v_overdue text[] := array(
        select w.workflow_id
        from pyengine.workflows w
        where w.deadline_at <= v_now and w.finished_at is null
        order by w.deadline_at
        limit _cancel_overdue.batch_limit
        for no key update skip locked
    );
begin
    return cardinality(pyengine._cancel_workflows(v_overdue));
end
$$;

comment on function pyengine._cancel_overdue is 'Cancels workflows whose deadline has passed; returns how many.';
