-- Look in front of an executor's bookmarks for what was committed late. Where there is work that it may run, its claims
-- look from the front again; else the bookmark goes on for some seconds, unless that was quick: then none is needed, and
-- what had set it was a claim that was held up by something else.
--
-- A tick does this, so that no claim has to: the front is long to read, or there were no bookmark. It does so first shortly
-- before the end of the bookmark. What takes long is done by fewer ticks: a tenth of the time is spent on it. A bookmark is
-- written, and locked, only when its end is near: where nothing can be cleaned up, its versions would soon be a front of
-- their own.
--
-- Locks: the bookmarks (by queue, skipping locked ones: a claim is moving it).
create or replace function pyengine._review_bookmarks(executor pyengine.executors)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_place pyengine.bookmarks;
    v_began_at timestamptz;
    v_is_found boolean;
    v_look_took interval;
begin
    for v_place in
        select b.*
        from pyengine.bookmarks b
        where b.executor_id = (_review_bookmarks.executor).executor_id and b.expires_at > pyengine.now()
            and case when b.look_took = interval '0' then b.expires_at < pyengine.now() + interval '1.1 seconds'
                else random() * b.look_took < interval '100 milliseconds' end
        order by b.queue_name
    loop
        v_began_at := pyengine.now();
        v_is_found := exists (
            select 1
            from pyengine.workflows w
            where w.status = 'ENQUEUED' and w.partition_key is null
                and w.queue_name = v_place.queue_name and w.priority = v_place.priority
                and (w.created_at, w.workflow_id) <= (v_place.created_at, v_place.workflow_id)
                and pyengine._may_run(_review_bookmarks.executor, w.application_name, w.application_version,
                    w.version_is_pinned, w.name, w.class_name, w.config_name)
        ) or exists (
            select 1
            from pyengine.queues q
            join pyengine.workflows w on w.queue_name = q.queue_name
            where q.queue_name = v_place.queue_name and not pyengine._is_partitioned(q)
                and w.status = 'ENQUEUED' and w.partition_key is not null and not w.is_serial
                and w.priority = v_place.priority
                and (w.created_at, w.workflow_id) <= (v_place.created_at, v_place.workflow_id)
                and pyengine._may_run(_review_bookmarks.executor, w.application_name, w.application_version,
                    w.version_is_pinned, w.name, w.class_name, w.config_name)
        ) or (v_place.queue_name = '' and exists (
            select 1
            from pyengine.workflows w
            where w.status = 'ENQUEUED' and w.partition_key is null
                and w.queue_name is null and w.priority = v_place.priority
                and (w.created_at, w.workflow_id) <= (v_place.created_at, v_place.workflow_id)
                and pyengine._may_run(_review_bookmarks.executor, w.application_name, w.application_version,
                    w.version_is_pinned, w.name, w.class_name, w.config_name)
        ));
        v_look_took := pyengine.now() - v_began_at;
        continue when not v_is_found and (
            v_place.expires_at >= v_began_at + interval '5 seconds' or v_look_took < interval '0.4 milliseconds');
        perform 1
        from pyengine.bookmarks b
        where b.executor_id = v_place.executor_id and b.queue_name = v_place.queue_name
        for update skip locked;
        continue when not found;
        if v_is_found then
            delete from pyengine.bookmarks b
            where b.executor_id = v_place.executor_id and b.queue_name = v_place.queue_name;
        else
            update pyengine.bookmarks b
            set expires_at = v_began_at + interval '10 seconds', look_took = v_look_took
            where b.executor_id = v_place.executor_id and b.queue_name = v_place.queue_name;
        end if;
    end loop;
end
$$;

comment on function pyengine._review_bookmarks is 'Looks for work in front of the bookmarks of an executor.';
