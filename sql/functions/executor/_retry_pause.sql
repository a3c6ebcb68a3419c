-- How long a workflow of a dead executor waits before it is tried again; null is not at all.
-- A workflow that killed its process three times without completing a step is probably what kills it: it waits
-- longer each time, so that it costs the others little until it is dead-lettered.
create or replace function pyengine._retry_pause(workflow_id text, attempt_count int)
returns interval
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    if _retry_pause.attempt_count < 3 or exists (
        select 1 from pyengine.steps s
        where s.workflow_id = _retry_pause.workflow_id and s.attempt = _retry_pause.attempt_count
    ) then
        return null;
    end if;
    return make_interval(secs => least(2.0 ^ least(_retry_pause.attempt_count - 3, 10), 60));
end
$$;

comment on function pyengine._retry_pause is 'Pause before a workflow whose process died is tried again; null when it made progress or died less than three times.';
