-- The workflows written in SQL.
create or replace function pyengine.list_sql_workflows()
returns setof pyengine.sql_workflows
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query select w.* from pyengine.sql_workflows w order by w.name;
end
$$;

comment on function pyengine.list_sql_workflows is 'The workflows written in SQL, by name. Role: observer.';
