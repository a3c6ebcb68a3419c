-- Forget a workflow written in SQL; its functions stay. Locks: the executors that run such workflows, in id order.
create or replace function pyengine.drop_sql_workflow(name text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from pyengine.sql_workflows w where w.name = drop_sql_workflow.name;
    if not found then
        raise exception using errcode = 'PE404', message = format('there is no SQL workflow %s', drop_sql_workflow.name);
    end if;
    perform pyengine._renew_sql_functions(drop_sql_workflow.name);
end
$$;

comment on function pyengine.drop_sql_workflow is 'Forgets a workflow written in SQL: what is enqueued of it waits. Raises PE404 if there is none of that name. Role: admin.';
