-- The columns with an index of their own that a condition tree asks to be one of some values.
create or replace function pyengine._asked_keys(condition json)
returns table (column_name text, key_values text[])
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if _asked_keys.condition ->> 'op' = 'and' then
        return query
        select k.column_name, k.key_values
        from json_array_elements(_asked_keys.condition -> 'args') a (arg)
        cross join lateral pyengine._asked_keys(a.arg) k;
    elsif _asked_keys.condition ->> 'op' in ('=', 'in') then
        return query
        select _asked_keys.condition #>> '{args,0,column}', array_agg(a.arg ->> 'text')
        from json_array_elements(_asked_keys.condition -> 'args') with ordinality a (arg, n)
        where a.n > 1
        having bool_and(a.arg ->> 'text' is not null) and _asked_keys.condition #>> '{args,0,column}'
            in ('authenticated_user', 'parent_workflow_id', 'forked_from', 'schedule_name');
    end if;
end
$$;

comment on function pyengine._asked_keys is 'The columns with an index of their own that a condition, given as a json tree, asks to be one of some values.';
