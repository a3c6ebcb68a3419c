-- Create a schedule: a workflow that is started at the times of a cron expression.
-- Locks: as _store_schedule.
create or replace function pyengine.create_schedule(
    schedule_name text,
    workflow_name text,
    schedule text,
    context json default null,
    workflow_class_name text default null,
    automatic_backfill boolean default false,
    cron_timezone text default null,
    queue_name text default null,
    application_name text default null,
    catch_up text default null,
    overlap text default 'allow',
    grace_seconds double precision default 60,
    serialization text default 'portable_json',
    second_argument text default 'context',
    max_attempts int default null
)
returns setof pyengine.schedules
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if not pyengine._store_schedule(json_build_object(
        'schedule_name', create_schedule.schedule_name, 'workflow_name', create_schedule.workflow_name,
        'schedule', create_schedule.schedule, 'context', create_schedule.context,
        'workflow_class_name', create_schedule.workflow_class_name,
        'automatic_backfill', create_schedule.automatic_backfill, 'cron_timezone', create_schedule.cron_timezone,
        'queue_name', create_schedule.queue_name, 'application_name', create_schedule.application_name,
        'catch_up', create_schedule.catch_up, 'overlap', create_schedule.overlap,
        'grace_seconds', create_schedule.grace_seconds, 'serialization', create_schedule.serialization,
        'second_argument', create_schedule.second_argument, 'max_attempts', create_schedule.max_attempts
    ), 'never_update', null) then
        raise exception using errcode = 'PE409',
            message = format('schedule %s exists already: change it with apply_schedules, or delete it first',
                create_schedule.schedule_name),
            detail = json_build_object('schedule_name', create_schedule.schedule_name)::text;
    end if;
    return query select s.* from pyengine.schedules s where s.schedule_name = create_schedule.schedule_name;
end
$$;

comment on function pyengine.create_schedule is 'Creates a schedule and returns it; raises PE409 if there is one of that name. Its workflow gets the time of the tick and the context. Role: client.';
