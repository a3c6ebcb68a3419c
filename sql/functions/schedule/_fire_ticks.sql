-- Fire ticks of a schedule, each once: those that were fired before are left out. Returns the ids of their workflows.
-- Locks: the new rows of the ticks, then as start_workflows. The caller holds the schedule's row.
create or replace function pyengine._fire_ticks(schedule pyengine.schedules, ticks text[], heeds_overlap boolean)
returns text[]
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_name text := (_fire_ticks.schedule).schedule_name;
    v_new text[];
    v_started text[];
begin
    with fired as (
        insert into pyengine.schedule_ticks (schedule_name, tick_at, fired_at, outcome)
        select v_name, t.tick::timestamptz, pyengine.now(), 'overlapped'
        from unnest(_fire_ticks.ticks) t (tick)
        order by 2
        on conflict on constraint schedule_ticks_pkey do nothing
        returning tick_at
    )
    select array_agg(t.tick order by f.tick_at)
    into v_new
    from fired f
    join unnest(_fire_ticks.ticks) t (tick) on t.tick::timestamptz = f.tick_at;

    if _fire_ticks.heeds_overlap and (_fire_ticks.schedule).overlap = 'skip' then
        v_new := case when not exists (
            select 1 from pyengine.workflows w
            where w.schedule_name = v_name and w.status in ('ENQUEUED', 'DELAYED', 'PENDING')
        ) then v_new[1:1] end;
    end if;
    if v_new is null then
        return '{}'::text[];
    end if;

    with started as (
        select s.* from pyengine._start_scheduled(_fire_ticks.schedule, v_new, 'sched-' || v_name || '-') s
    ), noted as (
        update pyengine.schedule_ticks t
        set outcome = case when s.refusal is null then 'started' else 'refused' end,
            workflow_id = case when s.refusal is null then s.workflow_id end
        from started s
        where t.schedule_name = v_name and t.tick_at = s.tick::timestamptz
        returning t.tick_at, t.workflow_id
    )
    select coalesce(array_agg(n.workflow_id order by n.tick_at) filter (where n.workflow_id is not null), '{}')
    into v_started
    from noted n;
    return v_started;
end
$$;

comment on function pyengine._fire_ticks is 'Fires ticks of a schedule, each once; returns the ids of the started workflows.';
