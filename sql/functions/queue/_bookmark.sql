-- Where an executor begins to look for work in a queue (empty: without a queue): at the front, or at its bookmark.
create or replace function pyengine._bookmark(executor_id bigint, queue_name text)
returns pyengine.bookmarks
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_place pyengine.bookmarks;
begin
    select b.*
    into v_place
    from pyengine.bookmarks b
    where b.executor_id = _bookmark.executor_id and b.queue_name = _bookmark.queue_name
        and b.expires_at > pyengine.now();
    if not found then
        v_place := row(_bookmark.executor_id, _bookmark.queue_name, null, -1, '-infinity', '', null, null);
    end if;
    return v_place;
end
$$;

comment on function pyengine._bookmark is 'The place in a queue behind which an executor looks for work.';
