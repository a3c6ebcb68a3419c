-- Refuse a registration that can't be, before anything is stored.
create or replace function pyengine._check_executor(
    name text, functions text[], attempt_limits json, lease_seconds double precision)
returns void
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if octet_length(_check_executor.name) between 1 and 512 is not true then
        raise exception using errcode = 'PE400', message = 'name must have 1 to 512 bytes';
    elsif _check_executor.functions is null or array_position(_check_executor.functions, null) is not null then
        raise exception using errcode = 'PE400', message = 'functions must be an array of texts without nulls';
    elsif _check_executor.lease_seconds between 0.1 and 3155760000 is not true then
        raise exception using errcode = 'PE400', message = 'lease_seconds must be between 0.1 and 3155760000 (100 years)';
    end if;
    perform pyengine._check_attempt_limits(_check_executor.attempt_limits);
end
$$;

comment on function pyengine._check_executor is 'Raises PE400 for a registration that can''t be.';
