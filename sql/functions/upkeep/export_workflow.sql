-- A workflow with everything that belongs to it as a json document, for import_workflow; with_children also all that
-- it started. Payloads are as they are stored. Raises PE404 if there is none.
create or replace function pyengine.export_workflow(workflow_id text, with_children boolean default false)
returns json
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_ids text[] := array[export_workflow.workflow_id];
begin
    if not exists (select 1 from pyengine.workflows w where w.workflow_id = export_workflow.workflow_id) then
        raise exception using errcode = 'PE404',
            message = format('there is no workflow %s to export', export_workflow.workflow_id),
            detail = json_build_object('workflow_id', export_workflow.workflow_id)::text;
    end if;
    if export_workflow.with_children then
        v_ids := pyengine._with_children(v_ids);
    end if;
    return json_build_object('format', 'pyengine workflows 1', 'workflows', (
        select json_agg(json_build_object(
            'workflow', row_to_json(w),
            'steps', (
                select coalesce(json_agg(s order by s.step_id), '[]') from pyengine.steps s where s.workflow_id = w.workflow_id),
            'messages', (
                select coalesce(json_agg(m order by m.message_id), '[]') from pyengine.messages m where m.destination_id = w.workflow_id),
            'message_keys', (
                select coalesce(json_agg(k), '[]') from pyengine.message_keys k where k.destination_id = w.workflow_id),
            'events', (
                select coalesce(json_agg(e), '[]') from pyengine.events e where e.workflow_id = w.workflow_id),
            'event_history', (
                select coalesce(json_agg(h), '[]') from pyengine.event_history h where h.workflow_id = w.workflow_id),
            'streams', (
                select coalesce(json_agg(x order by x.position), '[]') from pyengine.streams x where x.workflow_id = w.workflow_id)
        ) order by w.created_at, w.workflow_id)
        from pyengine.workflows w
        where w.workflow_id = any (v_ids)
    ));
end
$$;

comment on function pyengine.export_workflow is 'A workflow (with_children also all that it started) with its steps, messages, events and streams as a json document. Raises PE404. Role: observer.';
