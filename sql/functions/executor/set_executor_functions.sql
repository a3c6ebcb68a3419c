-- Say anew which functions an executor can run.
create or replace function pyengine.set_executor_functions(executor_id bigint, functions text[])
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update pyengine.executors e
    set functions = pyengine._with_sql_workflows(
        set_executor_functions.functions, e.application_name, e.runs_sql_workflows)
    where e.executor_id = set_executor_functions.executor_id and e.finished_at is null;
    delete from pyengine.bookmarks b where b.executor_id = set_executor_functions.executor_id;
end
$$;

comment on function pyengine.set_executor_functions is 'Replaces the list of functions that an executor can run. Role: worker.';
