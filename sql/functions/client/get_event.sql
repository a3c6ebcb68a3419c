-- The value of an event; waits for it at most timeout_seconds. Null when it is not set, or set to null.
create or replace function pyengine.get_event(
    workflow_id text,
    key text,
    timeout_seconds double precision default 0
)
returns json
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_until timestamptz := pyengine._wait_until(get_event.timeout_seconds);
    v_look int := 0;
    v_value json;
begin
    loop
        select e.value into v_value from pyengine.find_event(get_event.workflow_id, get_event.key) e;
        exit when found or not pyengine._next_pause(v_look, v_until);
        v_look := v_look + 1;
    end loop;
    return v_value;
end
$$;

comment on function pyengine.get_event is 'The value of an event of a workflow, waiting for it at most timeout_seconds (up to 300); null if it is not set. Role: client.';
