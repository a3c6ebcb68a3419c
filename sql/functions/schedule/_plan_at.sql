-- When a schedule's next ticks are to be computed: before the last one that is known; null while enough are known.
create or replace function pyengine._plan_at(tick_count int, planned_until timestamptz, as_of timestamptz)
returns timestamptz
language sql
immutable
as $$
    select case
        when not pg_catalog.isfinite(planned_until) then null
        when tick_count < 2 then as_of
        when tick_count < 500 then planned_until - interval '30 seconds'
    end
$$;

comment on function pyengine._plan_at is 'When the next ticks of a schedule are to be computed.';
