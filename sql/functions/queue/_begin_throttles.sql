-- Begin the periods of the throttle keys of workflows that were created. The caller holds the locks of the keys.
create or replace function pyengine._begin_throttles(requests json, created text[])
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    update pyengine.throttles t
    set workflow_id = r.workflow_id, ends_at = pyengine.now() + make_interval(secs => r.throttle_ms / 1000)
    from pyengine._throttle_requests(_begin_throttles.requests) r
    where t.queue_name = r.queue_name and t.throttle_key = r.throttle_key and r.refusal is null
        and r.workflow_id = any (_begin_throttles.created);
end
$$;

comment on function pyengine._begin_throttles is 'Begins the periods of the throttle keys of workflows that were created.';
