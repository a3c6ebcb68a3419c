-- Wake who waits for the results of workflows that ended, and who waits for a free place in their queues.
create or replace function pyengine._wake_ended(workflow_ids text[], queue_names text[])
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pyengine._wake(array(
        select pyengine.wait_key('result', i.workflow_id) from unnest(_wake_ended.workflow_ids) i (workflow_id)
        union all
        select pyengine.wait_key('work', n.queue_name) from unnest(_wake_ended.queue_names) n (queue_name)
    ));
end
$$;

comment on function pyengine._wake_ended is 'Notifies who waits for these results or for a place in these queues.';
