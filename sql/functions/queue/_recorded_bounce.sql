-- What a debounced call of a workflow came to, if it is recorded: a repeated call is the same call.
create or replace function pyengine._recorded_bounce(workflow_id text, start_step_id int)
returns pyengine.debounce_answer
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_child_id text;
begin
    select s.child_workflow_id
    into v_child_id
    from pyengine.steps s
    where s.workflow_id = _recorded_bounce.workflow_id
        and s.step_id in (_recorded_bounce.start_step_id - 1, _recorded_bounce.start_step_id)
        and s.child_workflow_id is not null
    order by s.step_id
    limit 1;
    if v_child_id is null then
        return null;
    end if;
    return row(v_child_id, false, null, null)::pyengine.debounce_answer;
end
$$;

comment on function pyengine._recorded_bounce is 'The recorded outcome of a debounced call of a workflow, or null.';
