-- Which part of a table a sample of so many pages is, in percent; null pages are all of it.
create or replace function pyengine._sample_percent(table_name text, sample_pages int)
returns real
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce(least(100, 100.0 * _sample_percent.sample_pages * current_setting('block_size')::int / greatest(
        pg_relation_size((
            select c.oid
            from pg_class c
            join pg_class known on known.relnamespace = c.relnamespace
            where c.relname = _sample_percent.table_name
                and known.oid = (select u.tableoid from pyengine.upkeep u)
        )), 1)), 100);
end
$$;

comment on function pyengine._sample_percent is 'Which part of a table a sample of so many pages is, in percent.';
