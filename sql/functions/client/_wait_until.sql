-- When a wait inside a statement ends. Only read committed sees what others commit meanwhile.
create or replace function pyengine._wait_until(timeout_seconds double precision)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if _wait_until.timeout_seconds between 0 and 300 is not true then
        raise exception using errcode = 'PE400', message = 'timeout_seconds must be between 0 and 300',
            hint = 'For a longer wait call again: a statement that runs for long keeps VACUUM from its work.';
    elsif _wait_until.timeout_seconds > 0 and current_setting('transaction_isolation') <> 'read committed' then
        raise exception using errcode = 'PE400',
            message = format('a %s transaction can''t wait: it does not see what others commit',
                current_setting('transaction_isolation')),
            hint = 'Wait outside of it, or take what it sees with timeout_seconds => 0.';
    end if;
    return pyengine.now() + make_interval(secs => _wait_until.timeout_seconds);
end
$$;

comment on function pyengine._wait_until is 'When a wait inside a statement ends; raises PE400 for a timeout that is out of range or where waiting is no use.';
