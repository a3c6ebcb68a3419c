-- Start a schedule's workflow for ticks, under the id prefix and tick.
-- Locks: as start_workflows. The caller has made sure that each tick is fired once.
--
-- An id that a workflow of this schedule has is the tick's: its row among the ticks was forgotten. An id that any other
-- workflow has does not keep the tick from being fired: it gets another one.
create or replace function pyengine._start_scheduled(schedule pyengine.schedules, ticks text[], id_prefix text)
returns setof pyengine.scheduled_start
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_schedule pyengine.schedules := _start_scheduled.schedule;
    v_start pyengine.scheduled_start;
    v_answer pyengine.start_answer;
begin
    foreach v_start.tick in array _start_scheduled.ticks loop
        v_start.workflow_id := _start_scheduled.id_prefix || v_start.tick;
        v_start.refusal := null;
        loop
            select a.*
            into v_answer
            from pyengine.start_workflows(requests => json_build_array(
                pyengine._tick_request(v_schedule, v_start.workflow_id, v_start.tick))) a;
            exit when not found;
            v_start.refusal := v_answer.refusal;
            exit when v_answer.refusal is not null or exists (
                select 1 from pyengine.workflows w
                where w.workflow_id = v_start.workflow_id and w.schedule_name = v_schedule.schedule_name
            );
            v_start.workflow_id := _start_scheduled.id_prefix || v_start.tick || '-' || left(gen_random_uuid()::text, 8);
        end loop;
        update pyengine.workflows w
        set schedule_name = v_schedule.schedule_name
        where w.workflow_id = v_start.workflow_id and w.schedule_name is null and v_start.refusal is null;
        return next v_start;
    end loop;
end
$$;

comment on function pyengine._start_scheduled is 'Starts a schedule''s workflow for ticks; returns the ids, or why it was refused.';
