-- The document that starts a schedule's workflow for a tick.
create or replace function pyengine._tick_request(schedule pyengine.schedules, workflow_id text, tick text)
returns json
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_schedule pyengine.schedules := _tick_request.schedule;
    v_version pyengine.application_versions := pyengine._latest_version(v_schedule.application_name);
begin
    return json_build_object(
        'workflow_id', _tick_request.workflow_id, 'name', v_schedule.workflow_name,
        'class_name', v_schedule.workflow_class_name, 'application_name', v_schedule.application_name,
        'application_version', v_version.version_name, 'version_is_pinned', coalesce(v_version.is_pinned, false),
        'max_attempts', v_schedule.max_attempts, 'queue_name', v_schedule.queue_name,
        'partition_key', case when v_schedule.overlap = 'queue' then v_schedule.schedule_name end,
        'is_serial', v_schedule.overlap = 'queue',
        'serialization', v_schedule.serialization,
        'inputs', json_build_object(
            'positionalArgs', json_build_array(
                pyengine._tick_value(_tick_request.tick, v_schedule.serialization),
                case when v_schedule.second_argument = 'context' then coalesce(v_schedule.context, 'null')
                    else pyengine._tick_value(pyengine._utc_text(pyengine.now()), v_schedule.serialization) end),
            'namedArgs', json_build_object()));
end
$$;

comment on function pyengine._tick_request is 'The document that starts a schedule''s workflow for a tick.';
