-- Pause of a wait inside a statement: sleeps, longer each time (5 ms to 250 ms). False when the wait is over.
create or replace function pyengine._next_pause(look int, until timestamptz)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_left double precision := extract(epoch from _next_pause.until - pyengine.now());
begin
    if v_left <= 0 then
        return false;
    end if;
    perform pg_sleep(least(0.005 * 2 ^ least(_next_pause.look, 6), 0.25, v_left));
    return true;
end
$$;

comment on function pyengine._next_pause is 'Sleeps before a wait inside a statement looks again; false when its time is over.';
