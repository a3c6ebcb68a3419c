-- Say that a process stops: its unfinished workflows are given back at once.
-- Locks: as _return_work.
create or replace function pyengine.leave_executor(executor_id bigint)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update pyengine.executors e
    set finished_at = pyengine.now(), finish_reason = 'left'
    where e.executor_id = leave_executor.executor_id and e.finished_at is null;
    delete from pyengine.waiters x
    using pyengine.executors e
    where e.executor_id = leave_executor.executor_id and x.channel = e.channel;
    return pyengine._return_work();
end
$$;

comment on function pyengine.leave_executor is 'Ends an executor and gives its unfinished workflows back; returns how many. Role: worker.';
