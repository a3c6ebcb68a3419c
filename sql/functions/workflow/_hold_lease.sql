-- Lock a workflow for a write of the run that holds the given lease token, or raise. Returns the run's attempt number.
-- Locks: the workflow row (no key update).
create or replace function pyengine._hold_lease(workflow_id text, lease_token uuid)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    v_workflow record;
begin
    select w.status, w.lease_token, w.attempt_count
    into v_workflow
    from pyengine.workflows w
    where w.workflow_id = _hold_lease.workflow_id
    for no key update;

    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no workflow %s', _hold_lease.workflow_id),
            detail = json_build_object('workflow_id', _hold_lease.workflow_id)::text;
    elsif v_workflow.status = 'CANCELLED' then
        raise exception using errcode = 'PE002',
            message = format('workflow %s is cancelled', _hold_lease.workflow_id),
            detail = json_build_object('workflow_id', _hold_lease.workflow_id)::text;
    elsif v_workflow.lease_token is distinct from _hold_lease.lease_token then
        raise exception using errcode = 'PE001',
            message = format('workflow %s is no longer owned by this run', _hold_lease.workflow_id),
            detail = json_build_object('workflow_id', _hold_lease.workflow_id)::text;
    end if;
    return v_workflow.attempt_count;
end
$$;

comment on function pyengine._hold_lease is 'Locks a workflow for a write of the run that holds its lease, or raises PE001, PE002 or PE404.';
