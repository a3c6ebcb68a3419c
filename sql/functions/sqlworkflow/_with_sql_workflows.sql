-- The functions of a process, with the workflows written in SQL if it runs those.
create or replace function pyengine._with_sql_workflows(functions text[], application_name text, runs_sql_workflows boolean)
returns text[]
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if not _with_sql_workflows.runs_sql_workflows then
        return _with_sql_workflows.functions;
    end if;
    return _with_sql_workflows.functions || array(
        select w.name::text
        from pyengine.sql_workflows w
        where (w.application_name is null or w.application_name = _with_sql_workflows.application_name)
            and w.name <> all (_with_sql_workflows.functions)
        order by w.name);
end
$$;

comment on function pyengine._with_sql_workflows is 'The functions of a process, with the workflows written in SQL if it runs those.';
