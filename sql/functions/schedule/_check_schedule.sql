-- Refuse what can't be a schedule. The expression is checked for its form only: what computes the ticks knows the rest,
-- and notes what is wrong with it in the schedule's error.
create or replace function pyengine._check_schedule(schedule pyengine.schedules)
returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_new pyengine.schedules := _check_schedule.schedule;
    v_wrong text;
begin
    v_wrong := case
        when btrim(coalesce(v_new.schedule_name, '')) = '' or octet_length(v_new.schedule_name) > 255
            then 'schedule_name must have 1 to 255 bytes and not be blank'
        when btrim(coalesce(v_new.workflow_name, '')) = '' or octet_length(v_new.workflow_name) > 512
            then 'workflow_name must have 1 to 512 bytes and not be blank'
        when v_new.schedule is null or octet_length(v_new.schedule) > 255
            or (cardinality(regexp_split_to_array(btrim(v_new.schedule), '\s+')) not in (5, 6)
                and v_new.schedule !~ '^@[a-z]+$')
            or v_new.schedule !~ '^[-@0-9A-Za-z*/,#?\s]+$'
            then format('schedule is %L: it must be a cron expression of 5 fields (minute hour day month weekday), '
                'or of 6 with the seconds first', v_new.schedule)
        when v_new.catch_up not in ('skip', 'last', 'all')
            then format('catch_up is %L: use skip, last or all', v_new.catch_up)
        when v_new.overlap not in ('allow', 'skip', 'queue')
            then format('overlap is %L: use allow, skip or queue', v_new.overlap)
        when v_new.serialization not in ('json', 'portable_json')
            then format('serialization is %L: use json or portable_json', v_new.serialization)
        when v_new.second_argument not in ('context', 'actual_time')
            then format('second_argument is %L: use context or actual_time', v_new.second_argument)
        when v_new.grace < interval '0' then 'grace_seconds must not be negative'
        when v_new.max_attempts < 1 then 'max_attempts must be at least 1'
    end;
    if v_wrong is not null then
        raise exception using errcode = 'PE400', message = v_wrong;
    elsif octet_length(v_new.context::text) > pyengine._payload_limit() then
        raise exception using errcode = 'PE413',
            message = format('the context of schedule %s takes %s bytes, more than the limit of %s bytes (max_payload_bytes)',
                v_new.schedule_name, octet_length(v_new.context::text), pyengine._payload_limit());
    elsif v_new.queue_name is not null and not starts_with(v_new.queue_name, '_pyengine_')
        and not exists (select 1 from pyengine.queues q where q.queue_name = v_new.queue_name) then
        raise exception using errcode = 'PE404',
            message = format('there is no queue %s: register it before schedule %s uses it',
                v_new.queue_name, v_new.schedule_name);
    elsif v_new.cron_timezone is not null
        and not exists (select 1 from pyengine.schedules s where s.cron_timezone = v_new.cron_timezone)
        and not exists (select 1 from pg_timezone_names n where n.name = v_new.cron_timezone) then
        raise exception using errcode = 'PE400',
            message = format('cron_timezone is %L: use an IANA name such as Europe/Berlin', v_new.cron_timezone);
    end if;
end
$$;

comment on function pyengine._check_schedule is 'Raises PE400, PE404 or PE413 for what can''t be a schedule.';
