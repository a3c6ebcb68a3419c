-- The inputs and recorded steps of workflows, as a claim hands them out, for whoever replays them without running them.
create or replace function pyengine.find_histories(workflow_ids text[])
returns setof pyengine.claimed_workflow
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return query select c.* from pyengine._describe_claims(find_histories.workflow_ids) c;
end
$$;

comment on function pyengine.find_histories is 'The inputs and recorded steps of workflows, as a claim hands them out; unknown ids are left out. Role: observer.';
