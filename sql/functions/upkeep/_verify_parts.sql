-- Everything belongs to a workflow that exists, and streams have no gaps and end once. It looks at samples.
create or replace function pyengine._verify_parts(sample_pages int)
returns setof pyengine.violation
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
    return query
    select distinct 'retention is whole', p.workflow_id, format('it does not exist and has %s', p.part)
    from (
        select s.workflow_id::text, 'steps' as part
        from pyengine.steps s tablesample system (pyengine._sample_percent('steps', _verify_parts.sample_pages))
        union all
        select m.destination_id, 'messages'
        from pyengine.messages m tablesample system (pyengine._sample_percent('messages', _verify_parts.sample_pages))
        union all
        select k.destination_id, 'keys of messages'
        from pyengine.message_keys k tablesample system (pyengine._sample_percent('message_keys', _verify_parts.sample_pages))
        union all
        select e.workflow_id, 'events'
        from pyengine.events e tablesample system (pyengine._sample_percent('events', _verify_parts.sample_pages))
        union all
        select h.workflow_id, 'a history of events'
        from pyengine.event_history h tablesample system (pyengine._sample_percent('event_history', _verify_parts.sample_pages))
        union all
        select s.workflow_id, 'streams'
        from pyengine.streams s tablesample system (pyengine._sample_percent('streams', _verify_parts.sample_pages))
        union all
        select h.workflow_id, 'hibernations'
        from pyengine.hibernations h tablesample system (pyengine._sample_percent('hibernations', _verify_parts.sample_pages))
    ) p
    where not exists (select 1 from pyengine.workflows w where w.workflow_id = p.workflow_id);

    return query
    select 'streams have no gaps', s.workflow_id::text,
        format('value %s of stream %s %s', s.position, s.key,
            case when b.is_end then 'follows its end' else 'has no value before it' end)
    from pyengine.streams s tablesample system (pyengine._sample_percent('streams', _verify_parts.sample_pages))
    left join pyengine.streams b on b.workflow_id = s.workflow_id and b.key = s.key and b.position = s.position - 1
    where s.position > 0 and b.is_end is distinct from false;
end
$$;

comment on function pyengine._verify_parts is 'Violations of wholeness.';
