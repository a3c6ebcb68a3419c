-- SQL text that compares the status of workflow w: what waits to be claimed lies in two partial indexes, and each
-- arm of the text names the condition of one of them.
create or replace function pyengine._status_sql(status text)
returns text
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if _status_sql.status = 'ENQUEUED' then
        return '(w.status = ''ENQUEUED'' and w.partition_key is null'
            ' or w.status = ''ENQUEUED'' and w.partition_key is not null)';
    end if;
    return format('w.status = %L', _status_sql.status);
end
$$;

comment on function pyengine._status_sql is 'SQL text that compares the status of workflow w with a value.';
