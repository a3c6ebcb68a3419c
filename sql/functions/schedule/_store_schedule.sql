-- Store a schedule that is new, or change the one of that name; returns whether it is new.
-- Locks: the schedule row; the row of the engine's own queue, if that is new.
--
-- A schedule whose times do not change keeps its place: what is due stays due. Other times count from now on.
create or replace function pyengine._store_schedule(document json, on_conflict text, application_version text)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_new pyengine.schedules := pyengine._read_schedule(_store_schedule.document);
    v_old pyengine.schedules;
    v_is_moved boolean;
begin
    perform pyengine._check_schedule(v_new);
    if v_new.queue_name = '_pyengine_schedules' then
        insert into pyengine.queues (queue_name, created_at, updated_at)
        values (v_new.queue_name, v_now, v_now)
        on conflict on constraint queues_pkey do nothing;
    end if;
    loop
        insert into pyengine.schedules (
            schedule_name, schedule_id, application_name, workflow_name, workflow_class_name, schedule, cron_timezone,
            queue_name, context, serialization, second_argument, max_attempts, catch_up, overlap, grace,
            planned_until, plan_at, created_at, updated_at
        ) values (
            v_new.schedule_name, v_new.schedule_id, v_new.application_name, v_new.workflow_name,
            v_new.workflow_class_name, v_new.schedule, v_new.cron_timezone, v_new.queue_name, v_new.context,
            v_new.serialization, v_new.second_argument, v_new.max_attempts, v_new.catch_up, v_new.overlap, v_new.grace,
            v_now, v_now, v_now, v_now
        )
        on conflict on constraint schedules_pkey do nothing;
        if found then
            return true;
        end if;
        select s.* into v_old from pyengine.schedules s
        where s.schedule_name = v_new.schedule_name for no key update;
        exit when found;
    end loop;
    if v_old.application_name <> v_new.application_name then
        raise exception using errcode = 'PE409',
            message = format('schedule %s belongs to application %s', v_old.schedule_name, v_old.application_name),
            detail = json_build_object('schedule_name', v_old.schedule_name)::text;
    elsif not pyengine._updates(
        _store_schedule.on_conflict, v_new.application_name, _store_schedule.application_version) then
        return false;
    end if;
    v_is_moved := (v_old.schedule, coalesce(v_old.cron_timezone, 'UTC'))
        <> (v_new.schedule, coalesce(v_new.cron_timezone, 'UTC'));
    update pyengine.schedules s
    set application_name = coalesce(v_old.application_name, v_new.application_name),
        workflow_name = v_new.workflow_name, workflow_class_name = v_new.workflow_class_name,
        schedule = v_new.schedule, cron_timezone = v_new.cron_timezone, queue_name = v_new.queue_name,
        context = v_new.context, serialization = v_new.serialization, second_argument = v_new.second_argument,
        max_attempts = v_new.max_attempts, catch_up = v_new.catch_up, overlap = v_new.overlap, grace = v_new.grace,
        revision = v_old.revision + v_is_moved::int,
        upcoming = case when v_is_moved then '{}' else v_old.upcoming end,
        next_due_at = case when not v_is_moved then v_old.next_due_at end,
        planned_until = case when v_is_moved then v_now else v_old.planned_until end,
        plan_at = case when v_is_moved or v_old.error is not null then v_now else v_old.plan_at end,
        error = null, updated_at = v_now
    where s.schedule_name = v_old.schedule_name;
    return false;
end
$$;

comment on function pyengine._store_schedule is 'Stores or changes a schedule; returns whether it is new.';
