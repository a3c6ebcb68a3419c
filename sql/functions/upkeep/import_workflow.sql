-- Store exported workflows, all or none, under their ids. Nothing of it runs by itself: what had not ended is
-- CANCELLED here, to be resumed, unless is_active is true: then it is enqueued again where it was. Answers with the ids.
-- Raises PE400 for a document that is none, and PE409 if an id exists. Locks: the new rows.
--
-- A repeated call with the same document finds what it stored and changes nothing: the start token is made of it.
create or replace function pyengine.import_workflow(document json, is_active boolean default false)
returns setof text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_part json;
    v_row pyengine.workflows;
    v_token uuid;
begin
    if json_typeof(import_workflow.document) is distinct from 'object'
        or import_workflow.document ->> 'format' is distinct from 'pyengine workflows 1' then
        raise exception using errcode = 'PE400',
            message = 'the document is no export of workflows that this version can read: its format must be "pyengine workflows 1"';
    end if;
    v_token := left(encode(sha256(convert_to(
        import_workflow.is_active::text || import_workflow.document::text, 'UTF8')), 'hex'), 32)::uuid;
    for v_part in select e.value from json_array_elements(import_workflow.document -> 'workflows') e loop
        v_row := json_populate_record(null::pyengine.workflows, v_part -> 'workflow');
        v_row.lease_token := null;
        v_row.executor_id := null;
        v_row.request_token := null;
        v_row.start_token := v_token;
        if v_row.finished_at is null and not import_workflow.is_active then
            v_row.status := 'CANCELLED';
            v_row.finished_at := v_now;
            v_row.deduplication_id := null;
            v_row.delayed_until := null;
        elsif v_row.status = 'PENDING' then
            v_row.status := 'ENQUEUED';
        end if;
        insert into pyengine.workflows select (v_row).* on conflict on constraint workflows_pkey do nothing;
        if not found and exists (
            select 1 from pyengine.workflows w where w.workflow_id = v_row.workflow_id and w.start_token = v_token
        ) then
            return next v_row.workflow_id;
            continue;
        elsif not found then
            raise exception using errcode = 'PE409',
                message = format('workflow %s exists: nothing was imported', v_row.workflow_id),
                detail = json_build_object('workflow_id', v_row.workflow_id)::text;
        end if;
        perform pyengine._import_parts(v_part);
        if v_row.status = 'ENQUEUED' then
            perform pyengine._wake(array[pyengine.wait_key('work', coalesce(v_row.queue_name, ''))]);
        end if;
        return next v_row.workflow_id;
    end loop;
end
$$;

comment on function pyengine.import_workflow is 'Stores exported workflows under their ids; what had not ended is cancelled, or with is_active enqueued again. Returns the ids; the same document again changes nothing. Raises PE400 or PE409. Role: admin.';
