-- The wait keys of an idle process: work without a queue, and of each queue that it serves.
--
-- In PL/pgSQL, which keeps the plan: a function in SQL that can't become part of its caller is planned at each call.
create or replace function pyengine._work_keys(application_name text, queue_names text[])
returns bigint[]
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
begin
    return pyengine.wait_key('work', '') || array(
        select pyengine.wait_key('work', q.queue_name)
        from pyengine.queues q
        where (q.application_name is null or q.application_name = _work_keys.application_name)
            and (_work_keys.queue_names is null or q.queue_name = any (_work_keys.queue_names))
    );
end
$$;

comment on function pyengine._work_keys is 'Wait keys of a process that waits for work.';
