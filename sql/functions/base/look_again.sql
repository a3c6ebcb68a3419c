-- Look again at everything that a process waits for: a json array of {kind, id, name, position}.
-- Answers with the items (from 1) that came true; with a channel the others are registered as waiting for some time more.
create or replace function pyengine.look_again(waits json, channel text)
returns setof int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    if look_again.channel is not null then
        perform pyengine._await_keys(array(
            select pyengine.wait_key(r.kind, r.id, coalesce(r.name, ''))
            from json_to_recordset(look_again.waits) as r (kind text, id text, name text)
        ), look_again.channel);
    end if;

    return query
    select r.item::int
    from rows from (json_to_recordset(look_again.waits) as (kind text, id text, name text, "position" int))
        with ordinality as r (kind, id, name, "position", item)
    where case r.kind
        when 'result' then exists (
            select 1 from pyengine.workflows w where w.workflow_id = r.id and w.finished_at is not null)
        when 'message' then exists (
            select 1 from pyengine.messages m where m.destination_id = r.id and m.topic = r.name)
        when 'event' then exists (
            select 1 from pyengine.events e where e.workflow_id = r.id and e.key = r.name)
        when 'stream' then exists (
            select 1 from pyengine.streams s
            where s.workflow_id = r.id and s.key = r.name and s.position >= r.position)
        else false end;
end
$$;

comment on function pyengine.look_again is 'Which of the waits in a json array have come true; keeps the channel registered for the others. Role: client.';
