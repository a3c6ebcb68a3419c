-- Remember how far an executor has looked in a queue: to the last workflow that it picked or, if it found fewer than it
-- wanted, to what was enqueued a second before it began. So only what is committed late or given back is overlooked.
--
-- The front is read again after a second, and after longer the longer that takes: a tenth of the time is spent on it.
--
-- Locks: the bookmark, and goes without one rather than wait for it: another claim of the executor may hold it and wait
-- for a queue that this one has locked. Only who holds the advisory lock inserts it, because inserting can't skip.
create or replace function pyengine._set_bookmark(place pyengine.bookmarks, last_picked text, began_at timestamptz)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_sort = off
set enable_bitmapscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_place pyengine.bookmarks := _set_bookmark.place;
begin
    if not pg_try_advisory_xact_lock(hashtextextended(format('bookmark %s %s', v_place.executor_id, v_place.queue_name), 0)) then
        return;
    end if;
    perform 1
    from pyengine.bookmarks b
    where b.executor_id = v_place.executor_id and b.queue_name = v_place.queue_name
    for update skip locked;
    if not found and exists (
        select 1 from pyengine.bookmarks b
        where b.executor_id = v_place.executor_id and b.queue_name = v_place.queue_name
    ) then
        return;
    end if;
    if _set_bookmark.last_picked is not null then
        select w.priority, w.created_at, w.workflow_id
        into v_place.priority, v_place.created_at, v_place.workflow_id
        from pyengine.workflows w
        where w.workflow_id = _set_bookmark.last_picked;
    else
        v_place.priority := coalesce((
            select w.priority from pyengine.workflows w
            where w.status = 'ENQUEUED' and w.queue_name = v_place.queue_name and w.partition_key is null
            order by w.priority desc, w.created_at desc, w.workflow_id desc
            limit 1
        ), (
            select w.priority from pyengine.workflows w
            where v_place.queue_name = '' and w.status = 'ENQUEUED' and w.queue_name is null and w.partition_key is null
            order by w.priority desc, w.created_at desc, w.workflow_id desc
            limit 1
        ), 0);
        v_place.created_at := _set_bookmark.began_at - interval '1 second';
        v_place.workflow_id := '';
    end if;
    insert into pyengine.bookmarks as b (
        executor_id, queue_name, wait_key, priority, created_at, workflow_id, expires_at
    ) values (
        v_place.executor_id, v_place.queue_name, pyengine.wait_key('work', v_place.queue_name),
        v_place.priority, v_place.created_at, v_place.workflow_id,
        coalesce(v_place.expires_at, v_now + interval '1 second' + 10 * (v_now - _set_bookmark.began_at))
    )
    on conflict on constraint bookmarks_pkey do update
    set priority = excluded.priority, created_at = excluded.created_at, workflow_id = excluded.workflow_id,
        expires_at = excluded.expires_at;
end
$$;

comment on function pyengine._set_bookmark is 'Notes how far an executor has looked for work in a queue.';
