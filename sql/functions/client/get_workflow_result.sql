-- The output of one workflow; waits for it at most timeout_seconds. Raises when there is none.
create or replace function pyengine.get_workflow_result(workflow_id text, timeout_seconds double precision default 30)
returns json
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_outcome record;
begin
    select o.status, o.output
    into v_outcome
    from pyengine.await_workflow(get_workflow_result.workflow_id, get_workflow_result.timeout_seconds) o;
    if not found then
        raise exception using errcode = 'PE408',
            message = format('workflow %s has not ended within %s seconds',
                get_workflow_result.workflow_id, get_workflow_result.timeout_seconds),
            detail = json_build_object('workflow_id', get_workflow_result.workflow_id)::text,
            hint = 'It goes on: ask again.';
    elsif v_outcome.status <> 'SUCCESS' then
        raise exception using errcode = 'PE424',
            message = format('workflow %s ended as %s', get_workflow_result.workflow_id, v_outcome.status),
            detail = json_build_object('workflow_id', get_workflow_result.workflow_id, 'status', v_outcome.status)::text,
            hint = 'await_workflow returns the error.';
    end if;
    return v_outcome.output;
end
$$;

comment on function pyengine.get_workflow_result is 'The output of a workflow, waiting for it at most timeout_seconds (up to 300). Raises PE408 if it has not ended, PE424 if it ended without success, PE404 if it is unknown. Role: client.';
