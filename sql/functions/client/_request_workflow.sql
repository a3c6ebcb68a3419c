-- Start one workflow for others to claim, in the caller's transaction; raises what start_workflows answers, or returns the
-- id of the workflow whose deduplication id or throttle was in the way, if the caller asks for that.
create or replace function pyengine._request_workflow(request json, duplication_policy text default 'reject')
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_workflow_id text := _request_workflow.request ->> 'workflow_id';
    v_answer record;
    v_code text;
    v_message text;
begin
    if _request_workflow.duplication_policy not in ('reject', 'return-existing')
        or _request_workflow.duplication_policy is null
    then
        raise exception using errcode = 'PE400', message = format(
            'duplication_policy is %s: use reject or return-existing', coalesce(_request_workflow.duplication_policy, 'null'));
    end if;
    select a.refusal, a.message, a.holder_id,
        (a.name, a.class_name, a.config_name) is distinct from (_request_workflow.request ->> 'name',
            _request_workflow.request ->> 'class_name', _request_workflow.request ->> 'config_name') as is_other
    into v_answer
    from pyengine.start_workflows(json_build_array(_request_workflow.request)) a;
    if v_answer.refusal = 'PE409' and v_answer.holder_id is not null
        and _request_workflow.duplication_policy = 'return-existing'
    then
        return v_answer.holder_id;
    elsif v_answer.refusal is not null then
        v_code := v_answer.refusal;
        v_message := v_answer.message;
    elsif v_answer.is_other then
        v_code := 'PE409';
        v_message := format('workflow %s exists and runs another function: choose another workflow_id', v_workflow_id);
    else
        return v_workflow_id;
    end if;
    raise exception using errcode = v_code, message = v_message,
        detail = json_strip_nulls(json_build_object('workflow_id', v_workflow_id, 'holder_id', v_answer.holder_id))::text;
end
$$;

comment on function pyengine._request_workflow is 'Starts one workflow for others to claim and returns its id, or raises why not.';
