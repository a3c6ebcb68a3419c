-- Wake who waits for the results of workflows that ended, and who waits for a free place in their queues: the end of a
-- workflow makes room only in a queue that counts what runs. Null ids and names wake nobody.
create or replace function pyengine._wake_ended(workflow_ids text[], queue_names text[])
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_keys bigint[] := array(
        select pyengine.wait_key('result', i.workflow_id) from unnest(_wake_ended.workflow_ids) i (workflow_id));
begin
    if array_remove(_wake_ended.queue_names, null) <> '{}' then
        v_keys := v_keys || array(
            select pyengine.wait_key('work', q.queue_name)
            from unnest(_wake_ended.queue_names) n (queue_name)
            join pyengine.queues q on q.queue_name = n.queue_name
            where num_nonnulls(q.worker_concurrency, q.concurrency, q.partition_concurrency,
                    q.partition_worker_concurrency) > 0
                or pyengine._has_serial_work(q.queue_name)
        );
    end if;
    perform pyengine._wake(v_keys);
end
$$;

comment on function pyengine._wake_ended is 'Notifies who waits for these results or for a place in these queues.';
