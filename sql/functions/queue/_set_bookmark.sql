-- Remember how far an executor has looked in a queue: to the last workflow that it picked or, when it came to the end,
-- to the moment at which it began; but not to what was enqueued in the half second before, because an enqueue that began
-- earlier is often committed a little later. So only what is committed later than that is overlooked.
--
-- The ticks of the executor look there (_review_bookmarks), and make the bookmark last. Without them the front is read
-- again after a second and a half, and after longer the longer that takes: a tenth of the time is spent on it.
--
-- Locks: the bookmark, and goes without one rather than wait for it. Only who holds the advisory lock inserts it, because inserting can't skip.
create or replace function pyengine._set_bookmark(
    place pyengine.bookmarks,
    last_picked text,
    is_at_end boolean,
    began_at timestamptz
)
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
    v_recently timestamptz := _set_bookmark.began_at - interval '500 milliseconds';
    v_picked record;
begin
    if not pg_try_advisory_xact_lock(hashtextextended(format('bookmark %s %s', v_place.executor_id, v_place.queue_name), 0)) then
        return;
    end if;
    perform 1
    from pyengine.bookmarks b
    where b.executor_id = v_place.executor_id and b.queue_name = v_place.queue_name
    for update skip locked;
    -- One that is gone was removed while this looked behind it: there is work in front of it.
    if not found and (v_place.expires_at is not null or exists (
        select 1 from pyengine.bookmarks b
        where b.executor_id = v_place.executor_id and b.queue_name = v_place.queue_name
    )) then
        return;
    end if;
    if v_place.expires_at is null then
        v_place.expires_at := v_now + interval '1.5 seconds' + 10 * (v_now - _set_bookmark.began_at);
        v_place.look_took := interval '0';
    end if;
    select w.priority, w.created_at, w.workflow_id
    into v_picked
    from pyengine.workflows w
    where w.workflow_id = _set_bookmark.last_picked;
    if found and not _set_bookmark.is_at_end and v_picked.created_at < v_recently then
        v_place.created_at := v_picked.created_at;
        v_place.workflow_id := v_picked.workflow_id;
    else
        v_place.created_at := v_recently;
        v_place.workflow_id := '';
    end if;
    -- Without one that was picked, or an earlier place, what waits tells; when nothing does, that is long to read as well.
    v_place.priority := coalesce(v_picked.priority, nullif(v_place.priority, -1), (
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
    insert into pyengine.bookmarks as b (
        executor_id, queue_name, wait_key, priority, created_at, workflow_id, expires_at, look_took
    ) values (
        v_place.executor_id, v_place.queue_name, pyengine.wait_key('work', v_place.queue_name),
        v_place.priority, v_place.created_at, v_place.workflow_id, v_place.expires_at, v_place.look_took
    )
    on conflict on constraint bookmarks_pkey do update
    set priority = excluded.priority, created_at = excluded.created_at, workflow_id = excluded.workflow_id,
        expires_at = greatest(b.expires_at, excluded.expires_at), look_took = excluded.look_took;
end
$$;

comment on function pyengine._set_bookmark is 'Notes how far an executor has looked for work in a queue.';
