-- Start a schedule's workflow now, whatever its times say and even if it is paused. Returns the id of the workflow.
-- Locks: as start_workflows.
create or replace function pyengine.trigger_schedule(schedule_name text)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_schedule pyengine.schedules := pyengine._find_schedule(trigger_schedule.schedule_name);
    v_start pyengine.scheduled_start;
begin
    select s.*
    into v_start
    from pyengine._start_scheduled(v_schedule, array[pyengine._utc_text(pyengine.now())],
        'sched-' || v_schedule.schedule_name || '-trigger-') s;
    if v_start.refusal is not null then
        raise exception using errcode = v_start.refusal,
            message = format('queue %s is full (max_depth): schedule %s started nothing, try again later',
                v_schedule.queue_name, v_schedule.schedule_name);
    end if;
    return v_start.workflow_id;
end
$$;

comment on function pyengine.trigger_schedule is 'Starts a schedule''s workflow now and returns its id; raises PE404 if there is no such schedule. Role: client.';
