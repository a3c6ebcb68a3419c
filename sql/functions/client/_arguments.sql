-- The arguments of a workflow in the portable form.
create or replace function pyengine._arguments(positional_args json[], named_args json)
returns json
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if json_typeof(_arguments.named_args) <> 'object' then
        raise exception using errcode = 'PE400',
            message = format('named_args must be a JSON object, not a JSON %s', json_typeof(_arguments.named_args)),
            hint = 'Use for example named_args => ''{"order_id": 7}''.';
    elsif array_ndims(_arguments.positional_args) > 1 then
        raise exception using errcode = 'PE400',
            message = 'positional_args must be a one-dimensional array, with one JSON value for each argument';
    end if;
    return json_build_object(
        'positionalArgs', array_to_json(coalesce(_arguments.positional_args, '{}'::json[])),
        'namedArgs', coalesce(_arguments.named_args, '{}'::json));
end
$$;

comment on function pyengine._arguments is 'The arguments of a workflow in the portable form; raises PE400.';
