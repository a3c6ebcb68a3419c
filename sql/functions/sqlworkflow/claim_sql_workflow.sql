-- Claim a workflow written in SQL for this transaction, which runs it to its end: whoever looks from outside sees it
-- waiting, or ended. Locks: as claim_workflows.
--
-- All of them belong to one executor of the application, named sql, which is never declared dead: when its transaction
-- is gone, so is its claim.
create or replace function pyengine.claim_sql_workflow(application_name text)
returns setof pyengine.sql_claim
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_synchronous_commit text := current_setting('synchronous_commit');
    v_token uuid := gen_random_uuid();
    v_channel text := 'sql_' || md5(claim_sql_workflow.application_name);
    v_executor_id bigint;
begin
    select e.executor_id
    into v_executor_id
    from pyengine.executors e
    where e.channel = v_channel and e.finished_at is null and not e.work_is_returned
    order by e.executor_id
    limit 1;
    if not found then
        v_executor_id := pyengine.register_executor(
            name => 'sql', application_name => claim_sql_workflow.application_name,
            application_version => 'sql of ' || claim_sql_workflow.application_name,
            version_is_pinned => false, functions => '{}', channel => v_channel, lease_seconds => 3155760000,
            runs_sql_workflows => true);
    end if;
    return query
    select c.workflow_id, v_token
    from pyengine.claim_workflows(executor_id => v_executor_id, lease_token => v_token, claim_limit => 1) c;
    -- A claim alone need not wait for its commit; the outcomes of this transaction must.
    perform set_config('synchronous_commit', v_synchronous_commit, true);
end
$$;

comment on function pyengine.claim_sql_workflow is 'Claims a workflow written in SQL for the caller''s transaction, which must run it to its end by run_sql_step. Role: worker.';
