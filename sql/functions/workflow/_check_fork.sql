-- Refuse arguments that no fork can have, before anything is stored.
create or replace function pyengine._check_fork(
    new_workflow_id text,
    start_step int,
    queue_name text,
    partition_key text,
    replacement_children json,
    timeout_ms double precision
)
returns void
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if btrim(_check_fork.new_workflow_id) = '' or octet_length(_check_fork.new_workflow_id) > 512 then
        raise exception using errcode = 'PE400',
            message = 'new_workflow_id must have 1 to 512 bytes and not be blank';
    elsif _check_fork.start_step is null then
        raise exception using errcode = 'PE400', message = 'start_step must be the number of a step; 1 repeats them all';
    elsif _check_fork.timeout_ms <= 0 then
        raise exception using errcode = 'PE400', message = 'timeout_ms must be positive; leave it out for no timeout';
    elsif _check_fork.replacement_children is not null
        and json_typeof(_check_fork.replacement_children) <> 'object' then
        raise exception using errcode = 'PE400',
            message = 'replacement_children must be a json object of old ids and new ids';
    end if;
    perform pyengine._check_place(_check_fork.queue_name, _check_fork.partition_key);
end
$$;

comment on function pyengine._check_fork is 'Raises PE400 for arguments that no fork can have.';
