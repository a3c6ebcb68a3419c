-- SQL text of all columns of workflow w in their order; payloads that are not loaded are null.
create or replace function pyengine._workflow_columns_sql(load_input boolean, load_output boolean)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select string_agg(case
            when not _workflow_columns_sql.load_input and a.attname = 'inputs' then 'null::json'
            when not _workflow_columns_sql.load_output and a.attname in ('output', 'error') then 'null::json'
            else format('w.%I', a.attname) end, ', ' order by a.attnum)
        from pg_attribute a
        where a.attrelid = pg_typeof(null::pyengine.workflows)::text::regclass and a.attnum > 0 and not a.attisdropped
    );
end
$$;

comment on function pyengine._workflow_columns_sql is 'SQL text of the columns of workflow w, without the payloads that are not loaded.';
