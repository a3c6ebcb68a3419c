-- Remove the rows of executors that ended a day ago and own nothing any more. Returns how many.
-- Locks: the executor rows (update, skipping locked ones).
create or replace function pyengine._forget_executors(batch_limit int)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_count int;
begin
    delete from pyengine.executors e
    where e.executor_id in (
        select o.executor_id
        from pyengine.executors o
        where o.work_is_returned and o.finished_at < v_now - interval '1 day'
            and not exists (
                select 1 from pyengine.workflows w where w.status = 'PENDING' and w.executor_id = o.executor_id
            )
        order by o.finished_at
        limit _forget_executors.batch_limit
        for update skip locked
    );
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function pyengine._forget_executors is 'Removes executors that ended a day ago and own nothing; returns how many.';
