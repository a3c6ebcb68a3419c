-- Record a batch of steps as record_steps says.
-- Locks: the workflow rows (no key update, in id order), then the new step rows.
create or replace function pyengine._record_batch(requests json)
returns setof pyengine.step_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := pyengine.now();
    v_asked int;
    v_stored int;
begin
    with request as materialized (
        select r.*
        from pyengine._step_requests(_record_batch.requests) r
    ), owned as materialized (
        select r.*, w.attempt_count
        from (select q.* from request q where q.refusal is null order by q.workflow_id collate "C") r
        cross join lateral (
            select o.lease_token, o.attempt_count
            from pyengine.workflows o
            where o.workflow_id = r.workflow_id
            for no key update
        ) w
        where w.lease_token = r.lease_token
    ), stored as (
        insert into pyengine.steps (
            workflow_id, step_id, name, attempt, child_workflow_id,
            started_at, completed_at, serialization, output, error
        )
        select r.workflow_id, r.step_id, r.name, r.attempt_count, r.child_workflow_id,
            v_now - make_interval(secs => coalesce(r.elapsed_ms, 0) / 1000), v_now, r.serialization, r.output, r.error
        from owned r
        on conflict on constraint steps_pkey do nothing
        returning 1
    )
    select (select count(*) from request), (select count(*) from stored) into v_asked, v_stored;

    if v_stored < v_asked then
        return query select a.* from pyengine._answer_steps(_record_batch.requests) a;
    end if;
end
$$;

comment on function pyengine._record_batch is 'Records a json array of step outcomes.';
