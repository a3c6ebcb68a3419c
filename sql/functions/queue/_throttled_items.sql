-- The starts that their throttle keys forbid now: another workflow was started in the period, or comes before in this
-- request. Locks the keys, which exist after this, until the end of the transaction.
-- Locks: the rows of throttles (in key order), those that are over skipping locked ones.
create or replace function pyengine._throttled_items(requests json)
returns int[]
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
begin
    delete from pyengine.throttles t
    where (t.queue_name, t.throttle_key) in (
        select o.queue_name, o.throttle_key
        from pyengine.throttles o
        where o.ends_at < v_now
        order by o.ends_at
        limit 10
        for update skip locked
    );
    insert into pyengine.throttles (queue_name, throttle_key, ends_at)
    select distinct r.queue_name, r.throttle_key, v_now
    from pyengine._throttle_requests(_throttled_items.requests) r
    where r.refusal is null
    order by r.queue_name, r.throttle_key
    on conflict on constraint throttles_pkey do nothing;
    perform 1
    from pyengine.throttles t
    where (t.queue_name, t.throttle_key) in (
        select r.queue_name, r.throttle_key
        from pyengine._throttle_requests(_throttled_items.requests) r
        where r.refusal is null
    )
    order by t.queue_name, t.throttle_key
    for update;

    v_now := pyengine.now();
    return array(
        select k.item
        from (
            select r.item, r.refusal, t.ends_at > v_now and t.workflow_id <> r.workflow_id as is_early,
                row_number() over (partition by r.queue_name, r.throttle_key order by r.item) > 1 as is_second
            from pyengine._throttle_requests(_throttled_items.requests) r
            left join pyengine.throttles t on t.queue_name = r.queue_name and t.throttle_key = r.throttle_key
        ) k
        where k.refusal is not null or k.is_early or k.is_second
    );
end
$$;

comment on function pyengine._throttled_items is 'The starts that their throttle keys forbid now; the keys are locked.';
