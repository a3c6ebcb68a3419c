-- Run workflows written in SQL here and now, up to run_limit of them, in one transaction. Returns how many.
--
-- Runs as its caller, as run_sql_step does and for the same reason.
create or replace function pyengine.run_sql_workflows(run_limit int default 1, application_name text default 'sql')
returns int
language plpgsql
volatile
security invoker
as $$
declare
    v_claim pyengine.sql_claim;
begin
    for v_count in 0 .. run_sql_workflows.run_limit - 1 loop
        select c.workflow_id, c.lease_token
        into v_claim
        from pyengine.claim_sql_workflow(application_name => run_sql_workflows.application_name) c;
        if not found then
            return v_count;
        end if;
        loop
            exit when pyengine.run_sql_step(workflow_id => v_claim.workflow_id, lease_token => v_claim.lease_token);
        end loop;
    end loop;
    return greatest(run_sql_workflows.run_limit, 0);
end
$$;

comment on function pyengine.run_sql_workflows is 'Runs up to run_limit workflows written in SQL in one transaction, with the rights of the caller, and returns how many: for psql and pg_cron. Role: worker.';
