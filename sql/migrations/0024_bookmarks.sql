-- Bookmarks: how far into a queue an executor has looked for work, when getting there took long: over entries of the
-- index that are dead but cannot be removed yet, or over the work of others that it may not run.
--
-- Unlogged: after a server crash each executor begins at the front again.
create unlogged table pyengine.bookmarks (
    executor_id bigint not null,
    queue_name text not null,
    wait_key bigint not null,
    priority int not null,
    created_at timestamptz not null,
    workflow_id text collate "C" not null,
    expires_at timestamptz not null,
    look_took interval not null default '0',

    constraint bookmarks_pkey primary key (executor_id, queue_name)
) with (fillfactor = 50);

comment on table pyengine.bookmarks is 'Where executors go on looking for work in queues whose front is costly to read; few rows, for some seconds.';
comment on column pyengine.bookmarks.queue_name is 'The queue; empty for work without a queue.';
comment on column pyengine.bookmarks.wait_key is 'The key of the queue''s work, by which those who give work back remove the bookmark.';
comment on column pyengine.bookmarks.workflow_id is 'With priority and created_at the place in the queue: what comes before it was looked at.';
comment on column pyengine.bookmarks.expires_at is 'When the executor looks from the front again, unless its ticks have looked there: what was committed late may be there.';
comment on column pyengine.bookmarks.look_took is 'How long the last look of a tick at the front took, 0 before it: the longer, the fewer ticks look there.';

drop function if exists pyengine._workable_queues(text, text[]);
drop function if exists pyengine._promote_delayed();
drop function if exists pyengine.claim_workflows(bigint, uuid, int, text[], text);
