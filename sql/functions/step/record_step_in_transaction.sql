-- Record the outcome of a step inside the caller's own transaction, so that its writes and the checkpoint are one commit.
-- Locks: the workflow row (no key update), then the new step row.
--
-- Raises where record_steps answers: the caller's transaction must not commit. A second outcome for the step
-- violates its primary key; the insert has no conflict clause, because reading the index would make serializable
-- transactions of unrelated workflows fail each other.
create or replace function pyengine.record_step_in_transaction(
    workflow_id text,
    lease_token uuid,
    step_id int,
    name text,
    serialization text,
    output json,
    elapsed_ms double precision default 0
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_attempt int;
begin
    if pyengine._is_too_large(record_step_in_transaction.output) then
        raise exception using errcode = 'PE413',
            message = format('the outcome of step %s of workflow %s is larger than the limit of %s bytes (max_payload_bytes)',
                record_step_in_transaction.step_id, record_step_in_transaction.workflow_id, pyengine._payload_limit()),
            detail = json_build_object('workflow_id', record_step_in_transaction.workflow_id)::text;
    end if;

    v_attempt := pyengine._hold_lease(record_step_in_transaction.workflow_id, record_step_in_transaction.lease_token);

    insert into pyengine.steps (
        workflow_id, step_id, name, attempt, started_at, completed_at, serialization, output
    ) values (
        record_step_in_transaction.workflow_id, record_step_in_transaction.step_id, record_step_in_transaction.name, v_attempt,
        v_now - make_interval(secs => record_step_in_transaction.elapsed_ms / 1000), v_now,
        record_step_in_transaction.serialization, record_step_in_transaction.output
    );
end
$$;

comment on function pyengine.record_step_in_transaction is 'Records a step''s output inside the caller''s transaction, under the lease of its run; raises PE001, PE002, PE404 or PE413 when it may not. Role: worker.';
