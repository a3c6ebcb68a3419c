-- What ended within a window that ends now: counts, rates and durations, by application, function, queue and status.
-- Read by workflows_finished_idx: the cost grows with how much ended in that time, and not with the history. The
-- statement is planned with the time, so that the planner knows that.
create or replace function pyengine.list_outcomes(window_seconds double precision default 300)
returns setof pyengine.outcome_rate
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set plan_cache_mode = force_custom_plan
as $$
declare
    v_since timestamptz := pyengine.now() - make_interval(secs => list_outcomes.window_seconds);
begin
    if list_outcomes.window_seconds is null or not list_outcomes.window_seconds between 1 and 604800 then
        raise exception using errcode = 'PE400',
            message = 'window_seconds must be between 1 and 604800 (a week)';
    end if;
    return query
    select w.application_name, w.name, w.queue_name, w.status, count(*), count(*) / list_outcomes.window_seconds,
        percentile_cont(array[0.5, 0.95, 0.99]::double precision[])
            within group (order by extract(epoch from w.started_at - w.created_at)::double precision),
        percentile_cont(array[0.5, 0.95, 0.99]::double precision[])
            within group (order by extract(epoch from w.finished_at - w.started_at)::double precision)
    from pyengine.workflows w
    where w.finished_at > v_since
    group by w.application_name, w.name, w.queue_name, w.status
    order by count(*) desc, w.name, w.status;
end
$$;

comment on function pyengine.list_outcomes is 'How many workflows ended within the last window_seconds, how many a second, and percentiles (50, 95, 99) of how long they waited for their last start and ran, by application, function, queue and status. Role: observer.';
