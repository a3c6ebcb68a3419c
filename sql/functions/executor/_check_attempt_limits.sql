-- Refuse numbers of attempts that can't be.
create or replace function pyengine._check_attempt_limits(attempt_limits json)
returns void
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if json_typeof(_check_attempt_limits.attempt_limits) <> 'object' or exists (
        select from json_each_text(case when json_typeof(_check_attempt_limits.attempt_limits) = 'object'
            then _check_attempt_limits.attempt_limits end) l
        where l.value !~ '^[1-9][0-9]{0,8}$'
    ) then
        raise exception using errcode = 'PE400', message = 'attempt_limits must be a JSON object of keys of functions, '
            'each with a whole number from 1 to 999999999, or null for any number';
    end if;
end
$$;

comment on function pyengine._check_attempt_limits is 'Raises PE400 for numbers of attempts that can''t be.';
