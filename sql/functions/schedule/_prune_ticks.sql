-- Forget ticks of a schedule that were fired more than a week ago and are not among the newest 1000; at most 1000 at a
-- time. A backfill can't go back behind what is forgotten.
create or replace function pyengine._prune_ticks(schedule_name text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_kept_from timestamptz := (
        select t.tick_at
        from pyengine.schedule_ticks t
        where t.schedule_name = _prune_ticks.schedule_name
        order by t.tick_at desc
        offset 999 limit 1
    );
    v_forgotten timestamptz;
begin
    if v_kept_from is null then
        return;
    end if;
    with old as materialized (
        select t.tick_at
        from pyengine.schedule_ticks t
        where t.schedule_name = _prune_ticks.schedule_name and t.tick_at < v_kept_from
            and t.fired_at < pyengine.now() - interval '7 days'
        order by t.tick_at
        limit 1000
    ), removed as (
        delete from pyengine.schedule_ticks t
        using old o
        where t.schedule_name = _prune_ticks.schedule_name and t.tick_at = o.tick_at
        returning t.tick_at
    )
    select max(r.tick_at) into v_forgotten from removed r;
    if v_forgotten is not null then
        update pyengine.schedules s
        set ticks_known_from = greatest(s.ticks_known_from, v_forgotten)
        where s.schedule_name = _prune_ticks.schedule_name;
    end if;
end
$$;

comment on function pyengine._prune_ticks is 'Forgets old ticks of a schedule, a bounded number.';
