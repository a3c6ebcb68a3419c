-- What the first step of a workflow written in SQL is given: the named arguments as an object, or the positional one.
create or replace function pyengine._sql_arguments(inputs json)
returns json
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_named boolean := (_sql_arguments.inputs -> 'namedArgs')::text !~ '^\s*\{\s*\}\s*$';
    v_count int := json_array_length(_sql_arguments.inputs -> 'positionalArgs');
begin
    if v_count = 0 then
        return _sql_arguments.inputs -> 'namedArgs';
    elsif v_count = 1 and not v_named then
        return _sql_arguments.inputs -> 'positionalArgs' -> 0;
    end if;
    raise exception using errcode = 'PE400',
        message = 'a workflow written in SQL takes named arguments, or one positional argument';
end
$$;

comment on function pyengine._sql_arguments is 'What the first step of a workflow written in SQL is given.';
