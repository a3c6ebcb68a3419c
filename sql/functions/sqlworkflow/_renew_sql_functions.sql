-- Let the processes that run workflows written in SQL have this one among their functions, or not any more.
-- Locks: their executors, in id order.
create or replace function pyengine._renew_sql_functions(name text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update pyengine.executors e
    set functions = case when w.name is null then array_remove(e.functions, _renew_sql_functions.name)
        else array_append(array_remove(e.functions, _renew_sql_functions.name), _renew_sql_functions.name) end
    from (
        select x.executor_id
        from pyengine.executors x
        where x.runs_sql_workflows and x.finished_at is null and not x.work_is_returned
        order by x.executor_id
        for no key update
    ) r
    join pyengine.executors l on l.executor_id = r.executor_id
    left join pyengine.sql_workflows w on w.name = _renew_sql_functions.name
        and (w.application_name is null or w.application_name = l.application_name)
    where e.executor_id = r.executor_id;
end
$$;

comment on function pyengine._renew_sql_functions is 'Adds a workflow written in SQL to the functions of those who run such workflows, or removes it.';
