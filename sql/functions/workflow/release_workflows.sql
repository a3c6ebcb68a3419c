-- Give workflows back unfinished, so that any process can carry on from the last checkpoint.
-- Locks: the workflow rows (no key update, in id order).
create or replace function pyengine.release_workflows(requests json)
returns setof text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_released text[];
    v_work_keys bigint[];
begin
    with request as materialized (
        select r.workflow_id, r.lease_token
        from json_to_recordset(release_workflows.requests) as r (workflow_id text, lease_token uuid)
        order by r.workflow_id collate "C"
    ), released as (
        update pyengine.workflows w
        set status = 'ENQUEUED', lease_token = null, updated_at = pyengine.now()
        from request r
        where w.workflow_id = r.workflow_id and w.lease_token = r.lease_token
        returning w.workflow_id, w.queue_name
    )
    select array_agg(r.workflow_id), array_agg(distinct pyengine.wait_key('work', coalesce(r.queue_name, '')))
    into v_released, v_work_keys
    from released r;

    perform pyengine._wake_returned(v_work_keys);
    return query select r.id from unnest(v_released) r (id);
end
$$;

comment on function pyengine.release_workflows is 'Gives workflows of a json array (workflow_id, lease_token) back unfinished; returns the ids that it released. Role: worker.';
