-- Start a schedule's workflow now, whatever its times say and even if it is paused. Returns the id of the workflow.
-- Locks: as start_workflows.
--
-- A repeated call with the same request_token, within a day, finds the workflow that the first one started; it waits
-- for the first, if that still runs. The ids of a schedule's triggers are in the order of their times, so few are read.
create or replace function pyengine.trigger_schedule(schedule_name text, request_token uuid default null)
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
    v_prefix text := 'sched-' || v_schedule.schedule_name || '-trigger-';
    v_oldest text := v_prefix || pyengine._utc_text(pyengine.now() - interval '1 day');
    v_start pyengine.scheduled_start;
begin
    if trigger_schedule.request_token is not null then
        perform pg_advisory_xact_lock(hashtextextended(trigger_schedule.request_token::text, 0));
        select w.workflow_id
        into v_start.workflow_id
        from pyengine.workflows w
        where w.workflow_id > v_oldest and w.workflow_id < v_prefix || '~'
            and w.start_token = trigger_schedule.request_token;
        if found then
            return v_start.workflow_id;
        end if;
    end if;
    select s.*
    into v_start
    from pyengine._start_scheduled(v_schedule, array[pyengine._utc_text(pyengine.now())], v_prefix) s;
    if v_start.refusal is not null then
        raise exception using errcode = v_start.refusal,
            message = format('queue %s is full (max_depth): schedule %s started nothing, try again later',
                v_schedule.queue_name, v_schedule.schedule_name);
    end if;
    if trigger_schedule.request_token is not null then
        update pyengine.workflows w
        set start_token = trigger_schedule.request_token
        where w.workflow_id = v_start.workflow_id;
    end if;
    return v_start.workflow_id;
end
$$;

comment on function pyengine.trigger_schedule is 'Starts a schedule''s workflow now and returns its id; raises PE404 if there is no such schedule. Idempotent per request_token. Role: client.';
