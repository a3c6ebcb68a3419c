-- No workflow contradicts itself. It looks at a sample. That a status and the time of an end belong together, the table
-- itself sees to; more of such checks would cost every write more than they are worth.
create or replace function pyengine._verify_rows(sample_pages int)
returns setof pyengine.violation
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
    return query
    select f.invariant, w.workflow_id::text, f.detail
    from pyengine.workflows w tablesample system (pyengine._sample_percent('workflows', _verify_rows.sample_pages))
    cross join lateral (values
        ('only what runs has a lease', w.lease_token is not null and w.status <> 'PENDING', format('it is %s', w.status)),
        ('a lease has an owner', w.status = 'PENDING' and (w.lease_token is null) <> (w.executor_id is null),
            format('its executor is %s', coalesce(w.executor_id::text, 'unknown, and it has a lease'))),
        ('a delay has an end', w.status = 'DELAYED' and w.delayed_until is null, 'it waits for ever'),
        ('keys are keys of queues', w.partition_key is not null and w.queue_name is null, 'it is in no queue'),
        ('what is serial has a key', w.is_serial and w.partition_key is null, 'it has none'),
        ('numbers are not negative', w.attempt_count < 0 or w.priority < 0,
            format('attempt %s, priority %s', w.attempt_count, w.priority))
    ) f (invariant, is_broken, detail)
    where f.is_broken;
end
$$;

comment on function pyengine._verify_rows is 'Workflows that contradict themselves.';
