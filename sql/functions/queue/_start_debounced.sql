-- Enqueue the workflow of a debounced call whose key nobody holds. Null when somebody took the key meanwhile.
-- Locks: as start_workflows.
--
-- Idle processes are woken although there is nothing to claim yet: they set their timers.
create or replace function pyengine._start_debounced(call pyengine.debounce_call)
returns pyengine.debounce_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_answer pyengine.start_answer;
begin
    select a.* into v_answer from pyengine.start_workflows((call).requests) a;
    if v_answer.refusal = 'PE409' then
        return null;
    elsif v_answer.refusal is not null then
        raise exception using errcode = v_answer.refusal, message = v_answer.message,
            detail = json_build_object('workflow_id', (call).workflow_id)::text;
    elsif v_answer.item is not null and (v_answer.name, v_answer.class_name, v_answer.config_name)
        is distinct from ((call).name, (call).class_name, (call).config_name) then
        raise exception using errcode = 'PE409',
            message = format('workflow %s exists and is another function', (call).workflow_id),
            detail = json_build_object('workflow_id', (call).workflow_id)::text;
    end if;

    perform pyengine._record_bounce(call, null);
    if v_answer.item is null then
        update pyengine.workflows w
        set debounce_until = (call).debounce_until,
            deduplication_id = case when w.status = 'DELAYED' then w.deduplication_id end
        where w.workflow_id = (call).workflow_id;
        perform pyengine._wake(array[pyengine.wait_key('work', coalesce((call).queue_name, ''))]);
    end if;
    return row((call).workflow_id, v_answer.item is null, null, null)::pyengine.debounce_answer;
end
$$;

comment on function pyengine._start_debounced is 'Enqueues the workflow of a debounced call; null when the key was taken meanwhile.';
