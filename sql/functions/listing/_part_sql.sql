-- SQL text of the condition that workflow w is in a part, of which each has an index. Every workflow is in one part.
create or replace function pyengine._part_sql(part text)
returns text
language sql
immutable
as $$
    select case part
        when 'waiting' then 'w.finished_at is null and w.lease_token is null and w.started_at is null'
        when 'paused' then 'w.finished_at is null and w.lease_token is null and w.started_at is not null'
        when 'running' then 'w.status = ''PENDING'' and w.executor_id is not null'
        when 'ended' then 'w.finished_at is not null' end
$$;

comment on function pyengine._part_sql is 'SQL text of the condition that workflow w is in a part: waiting, paused, running or ended.';
