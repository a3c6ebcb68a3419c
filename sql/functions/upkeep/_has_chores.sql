-- Whether there is upkeep to do. Asked by every process each second: four probes of small indexes.
create or replace function pyengine._has_chores()
returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
begin
    return exists (select 1 from pyengine.workflows w where w.deadline_at <= v_now and w.finished_at is null)
        or exists (select 1 from pyengine.retention_policies r where r.next_at <= v_now)
        or exists (
            select 1 from pyengine.executors e
            where e.work_is_returned and e.finished_at < v_now - interval '1 day'
        )
        or exists (select 1 from pyengine.upkeep u where u.history_checked_at < v_now - interval '1 day');
end
$$;

comment on function pyengine._has_chores is 'Whether there is upkeep to do.';
