-- The parts of a queue in which an executor looks for work: behind its place, and what is more urgent than that.
create or replace function pyengine._stretches(place pyengine.bookmarks)
returns table (priority int, created_at timestamptz, workflow_id text, last_priority int)
language sql
immutable
as $$
    select (place).priority, (place).created_at, (place).workflow_id, 2147483647
    union all
    select -1, '-infinity', '', (place).priority - 1
    where (place).priority > 0
$$;

comment on function pyengine._stretches is 'The parts of a queue that are read from a place on.';
