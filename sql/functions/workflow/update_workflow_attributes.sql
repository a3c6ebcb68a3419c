-- Replace a workflow's attributes (null removes them), or with merge overwrite those that are given. An unknown id is
-- left alone. Locks: the workflow row (no key update).
create or replace function pyengine.update_workflow_attributes(
    workflow_id text,
    attributes jsonb,
    merge boolean default false
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    if jsonb_typeof(update_workflow_attributes.attributes) <> 'object' then
        raise exception using errcode = 'PE400', message = 'attributes must be a json object';
    elsif update_workflow_attributes.merge and update_workflow_attributes.attributes is null then
        raise exception using errcode = 'PE400', message = 'attributes must be given to be merged: null has nothing to merge';
    elsif octet_length(update_workflow_attributes.attributes::text) > pyengine._payload_limit() then
        raise exception using errcode = 'PE413',
            message = format('the attributes of workflow %s take %s bytes, more than the limit of %s bytes (max_payload_bytes)',
                update_workflow_attributes.workflow_id, octet_length(update_workflow_attributes.attributes::text),
                pyengine._payload_limit());
    end if;
    update pyengine.workflows w
    set attributes = case when update_workflow_attributes.merge
            then coalesce(w.attributes, '{}') || update_workflow_attributes.attributes
            else update_workflow_attributes.attributes end,
        updated_at = pyengine.now()
    where w.workflow_id = update_workflow_attributes.workflow_id;
end
$$;

comment on function pyengine.update_workflow_attributes is 'Replaces or merges the attributes of a workflow. Role: client.';
