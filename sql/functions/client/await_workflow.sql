-- Wait, at most for timeout_seconds, until a workflow has ended. No row when it has not.
-- A wait inside a statement looks again and again; programs that wait much listen instead (see await_workflows).
create or replace function pyengine.await_workflow(workflow_id text, timeout_seconds double precision default 30)
returns setof pyengine.outcome
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_until timestamptz := pyengine._wait_until(await_workflow.timeout_seconds);
    v_look int := 0;
    v_is_mine boolean;
begin
    select w.xmin = pg_current_xact_id_if_assigned()::xid and w.finished_at is null
    into v_is_mine
    from pyengine.workflows w
    where w.workflow_id = await_workflow.workflow_id;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no workflow %s', await_workflow.workflow_id),
            detail = json_build_object('workflow_id', await_workflow.workflow_id)::text;
    elsif v_is_mine and await_workflow.timeout_seconds > 0 then
        raise exception using errcode = 'PE400',
            message = format('workflow %s was changed by this transaction: nobody can run it before the commit',
                await_workflow.workflow_id),
            hint = 'Commit, then wait.';
    end if;

    loop
        return query
        select w.workflow_id::text, w.status, w.serialization, w.output, w.error
        from pyengine.workflows w
        where w.workflow_id = await_workflow.workflow_id and w.finished_at is not null;
        exit when found or not pyengine._next_pause(v_look, v_until);
        v_look := v_look + 1;
    end loop;
end
$$;

comment on function pyengine.await_workflow is 'Waits until a workflow has ended, at most timeout_seconds (up to 300): its outcome, or no row if it has not ended. Raises PE404 for an unknown workflow. Role: client.';
