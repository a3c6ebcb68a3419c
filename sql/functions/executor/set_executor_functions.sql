-- Say anew which functions an executor can run.
-- Locks: the workflows in SQL (share), the executor, its bookmarks (in the order of their keys).
create or replace function pyengine.set_executor_functions(
    executor_id bigint,
    functions text[],
    attempt_limits json default null
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pyengine._check_attempt_limits(set_executor_functions.attempt_limits);
    -- Who registers one of the workflows in SQL at this moment waits, or has been seen.
    lock table pyengine.sql_workflows in share mode;
    update pyengine.executors e
    set functions = pyengine._with_sql_workflows(
        set_executor_functions.functions, e.application_name, e.runs_sql_workflows),
        attempt_limits = coalesce(set_executor_functions.attempt_limits::jsonb, e.attempt_limits)
    where e.executor_id = set_executor_functions.executor_id and e.finished_at is null;
    perform 1
    from pyengine.bookmarks b
    where b.executor_id = set_executor_functions.executor_id
    order by b.queue_name
    for update;
    delete from pyengine.bookmarks b where b.executor_id = set_executor_functions.executor_id;
end
$$;

comment on function pyengine.set_executor_functions is 'Replaces the list of functions that an executor can run, and their numbers of attempts if they are given. Role: worker.';
