-- The value of an event, if it is set; otherwise the channel is registered as waiting, if one is given.
create or replace function pyengine.find_event(workflow_id text, key text, channel text default null)
returns setof pyengine.events
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return query
    select e.* from pyengine.events e where e.workflow_id = find_event.workflow_id and e.key = find_event.key;
    if not found and find_event.channel is not null then
        perform pyengine._await_keys(
            array[pyengine.wait_key('event', find_event.workflow_id, find_event.key)], find_event.channel);
    end if;
end
$$;

comment on function pyengine.find_event is 'The value of an event, if it is set; otherwise registers the channel as waiting for it. Role: client.';
