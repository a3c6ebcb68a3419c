-- The wait keys of an idle process: work without a queue, and of each queue that it serves.
create or replace function pyengine._work_keys(application_name text, queue_names text[])
returns bigint[]
language sql
stable
as $$
    select array(
        select pyengine.wait_key('work', '')
        union all
        select pyengine.wait_key('work', q.queue_name)
        from pyengine.queues q
        where (q.application_name is null or q.application_name = _work_keys.application_name)
            and (_work_keys.queue_names is null or q.queue_name = any (_work_keys.queue_names))
    )
$$;

comment on function pyengine._work_keys is 'Wait keys of a process that waits for work.';
