-- Ask whether a run may still write: before a step after a long silence, so that a run that lost its lease does not start it.
create or replace function pyengine.check_lease(workflow_id text, lease_token uuid)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pyengine._hold_lease(check_lease.workflow_id, check_lease.lease_token);
end
$$;

comment on function pyengine.check_lease is 'Raises PE001, PE002 or PE404 unless the run with this lease token owns the workflow. Role: worker.';
