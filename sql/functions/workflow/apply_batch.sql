-- Do starts, checkpoints, stream values and outcomes of several workflows in one commit: {"starts": [...], "steps": [...],
-- "streams": [...], "finishes": [...]}; in place of an array of one document it may be that document.
-- Locks: the queues that start_workflows locks, then every workflow row that the batch touches (no key update, in id
-- order), so that two batches and a bulk operation always meet in the same order; then as the four functions do.
create or replace function pyengine.apply_batch(batch json, executor_id bigint default null)
returns setof pyengine.batch_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_starts json := apply_batch.batch -> 'starts';
    v_steps json := apply_batch.batch -> 'steps';
    v_streams json := apply_batch.batch -> 'streams';
    v_finishes json := apply_batch.batch -> 'finishes';
begin
    if pyengine._may_have_field(v_starts, 'queue_name') then
        perform pyengine._prepare_enqueue(v_starts);
    end if;

    perform 1
    from (
        select s.workflow_id collate "C" as workflow_id
        from json_to_recordset(pyengine._as_batch(v_steps)) as s (workflow_id text)
        union
        select f.workflow_id from json_to_recordset(pyengine._as_batch(v_finishes)) as f (workflow_id text)
        union
        select a.workflow_id from json_to_recordset(pyengine._as_batch(v_streams)) as a (workflow_id text)
        union
        select p.parent_workflow_id from json_to_recordset(pyengine._as_batch(v_starts)) as p (parent_workflow_id text)
        order by 1
    ) r
    cross join lateral (
        select 1 from pyengine.workflows w where w.workflow_id = r.workflow_id for no key update
    ) w;

    if v_starts is not null then
        return query
        select 'starts', a.item, row_to_json(a) from pyengine.start_workflows(v_starts, apply_batch.executor_id) a;
    end if;
    if v_steps is not null then
        return query
        select 'steps', a.item, json_build_object(
            'item', a.item, 'refusal', a.refusal, 'message', a.message, 'name', a.name,
            'child_workflow_id', a.child_workflow_id, 'serialization', a.serialization,
            'output', a.output::text, 'error', a.error::text)
        from pyengine.record_steps(v_steps) a;
    end if;
    if v_streams is not null then
        return query
        select 'streams', a.item, row_to_json(a) from pyengine.append_streams(v_streams) a;
    end if;
    if v_finishes is not null then
        return query
        select 'finishes', a.item, row_to_json(a) from pyengine.finish_workflows(v_finishes) a;
    end if;
end
$$;

comment on function pyengine.apply_batch is 'Starts, checkpoints, stream values and outcomes of several workflows in one commit; answers as start_workflows, record_steps, append_streams and finish_workflows do. Role: worker.';
