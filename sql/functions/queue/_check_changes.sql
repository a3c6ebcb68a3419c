-- Refuse changes of a queue that are not limits and numbers.
create or replace function pyengine._check_changes(changes json)
returns void
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
declare
    v_whole text[] := array['worker_concurrency', 'concurrency', 'partition_concurrency', 'partition_worker_concurrency',
        'limiter_limit', 'partition_limiter_limit', 'max_depth'];
    v_seconds text[] := array['limiter_period_seconds', 'partition_limiter_period_seconds', 'polling_interval_seconds'];
    v_wrong text;
begin
    if json_typeof(_check_changes.changes) = 'object' is not true then
        raise exception using errcode = 'PE400', message = 'changes must be a json object of limits and their new values';
    end if;
    select case when c.key <> all (v_whole || v_seconds)
        then format('changes has the key %s: the limits of a queue are %s', c.key, array_to_string(v_whole || v_seconds, ', '))
        else format('%s must be a %s, or null for no limit', c.key,
            case when c.key = any (v_whole) then 'whole number below a billion' else 'number' end) end
    into v_wrong
    from json_each(_check_changes.changes) c
    where c.key <> all (v_whole || v_seconds)
        or json_typeof(c.value) not in ('number', 'null')
        or (c.key = any (v_whole) and json_typeof(c.value) = 'number' and c.value::text !~ '^-?[0-9]{1,9}$')
    limit 1;
    if v_wrong is not null then
        raise exception using errcode = 'PE400', message = v_wrong;
    end if;
end
$$;

comment on function pyengine._check_changes is 'Raises PE400 for changes of a queue that are not limits and numbers.';
