-- A schedule as its json document describes it, with the defaults of what is left out.
create or replace function pyengine._read_schedule(document json)
returns pyengine.schedules
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_new pyengine.schedules;
    v_given record;
begin
    select r.*
    into v_given
    from json_to_record(_read_schedule.document) as r (
        schedule_name text, application_name text, workflow_name text, workflow_class_name text, schedule text,
        cron_timezone text, queue_name text, context json, serialization text, second_argument text, max_attempts int,
        automatic_backfill boolean, catch_up text, overlap text, grace_seconds double precision
    );
    if v_given.automatic_backfill and v_given.catch_up <> 'all' then
        raise exception using errcode = 'PE400',
            message = format('automatic_backfill means catch_up all, and catch_up is %s: give one of them', v_given.catch_up);
    end if;
    v_new.schedule_name := v_given.schedule_name;
    v_new.schedule_id := gen_random_uuid();
    v_new.application_name := v_given.application_name;
    v_new.workflow_name := v_given.workflow_name;
    v_new.workflow_class_name := v_given.workflow_class_name;
    v_new.schedule := v_given.schedule;
    v_new.cron_timezone := v_given.cron_timezone;
    v_new.overlap := coalesce(v_given.overlap, 'allow');
    v_new.queue_name := coalesce(v_given.queue_name, case when v_new.overlap = 'queue' then '_pyengine_schedules' end);
    v_new.context := v_given.context;
    v_new.serialization := coalesce(v_given.serialization, 'portable_json');
    v_new.second_argument := coalesce(v_given.second_argument, 'context');
    v_new.max_attempts := v_given.max_attempts;
    v_new.catch_up := coalesce(v_given.catch_up, case when v_given.automatic_backfill then 'all' else 'skip' end);
    v_new.grace := make_interval(secs => coalesce(v_given.grace_seconds, 60));
    return v_new;
end
$$;

comment on function pyengine._read_schedule is 'A schedule as its json document describes it.';
