-- Make the workflows of finished executors claimable again, in their old place. Returns how many.
-- Locks: the executor rows (skipping locked ones), then their workflows (no key update, skipping locked ones: a
-- stopped process may hold one in an open transaction; it is returned by a later call).
--
-- A finished executor is looked at for a minute more: a start that was under way may still commit in its name.
create or replace function pyengine._return_work()
returns int
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
    v_finished bigint[];
    v_returned int;
    v_work_keys bigint[];
begin
    v_finished := array(
        select e.executor_id
        from pyengine.executors e
        where not e.work_is_returned and e.finished_at is not null
        order by e.executor_id
        for no key update skip locked
    );
    if v_finished = '{}' then
        return 0;
    end if;

    with returned as (
        update pyengine.workflows w
        set status = case when pyengine._retry_pause(w.workflow_id, w.attempt_count) is null then 'ENQUEUED' else 'DELAYED' end,
            delayed_until = pyengine.now() + pyengine._retry_pause(w.workflow_id, w.attempt_count),
            lease_token = null, updated_at = pyengine.now()
        where w.workflow_id in (
            select o.workflow_id
            from pyengine.workflows o
            where o.status = 'PENDING' and o.executor_id = any (v_finished)
            order by o.workflow_id
            for no key update skip locked
        )
        returning w.queue_name
    )
    select count(*), array_agg(distinct pyengine.wait_key('work', coalesce(r.queue_name, '')))
    into v_returned, v_work_keys
    from returned r;

    update pyengine.executors e
    set work_is_returned = true
    where e.executor_id = any (v_finished)
        and e.finished_at < pyengine.now() - interval '1 minute'
        and not exists (
            select 1 from pyengine.workflows w where w.status = 'PENDING' and w.executor_id = e.executor_id
        );

    perform pyengine._wake_returned(v_work_keys);
    return v_returned;
end
$$;

comment on function pyengine._return_work is 'Makes the workflows of finished executors claimable again; returns how many.';
