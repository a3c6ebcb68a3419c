-- Let a workflow that has ended run again under its own id from start_step on, as if it had never come further: what
-- it recorded and published from that step on is removed, and its waiting mail. Stream values stay. Children that
-- it started keep their outcomes: the steps that start them find them.
-- Raises PE404 if there is none, PE409 if it has not ended. Locks: the workflow row (no key update).
--
-- A repeated call with the same request_token changes nothing.
create or replace function pyengine.rewind_workflow(
    workflow_id text,
    start_step int default 1,
    application_version text default null,
    queue_name text default null,
    partition_key text default null,
    request_token uuid default null
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_workflow record;
begin
    if rewind_workflow.start_step < 1 is not false then
        raise exception using errcode = 'PE400', message = 'start_step must be at least 1, the first step';
    end if;
    perform pyengine._check_place(rewind_workflow.queue_name, rewind_workflow.partition_key);
    select w.status, w.request_token, w.finished_at
    into v_workflow
    from pyengine.workflows w
    where w.workflow_id = rewind_workflow.workflow_id
    for no key update;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no workflow %s to rewind', rewind_workflow.workflow_id),
            detail = json_build_object('workflow_id', rewind_workflow.workflow_id)::text;
    elsif v_workflow.request_token = rewind_workflow.request_token then
        return;
    elsif v_workflow.finished_at is null then
        raise exception using errcode = 'PE409',
            message = format('workflow %s is %s: only a workflow that has ended can be rewound, cancel it first',
                rewind_workflow.workflow_id, v_workflow.status),
            detail = json_build_object('workflow_id', rewind_workflow.workflow_id)::text;
    end if;

    perform pyengine._cut_history(rewind_workflow.workflow_id, rewind_workflow.start_step);
    update pyengine.workflows w
    set status = 'ENQUEUED', output = null, error = null, attempt_count = 0,
        request_token = rewind_workflow.request_token,
        application_version = coalesce(rewind_workflow.application_version, w.application_version),
        version_is_pinned = w.version_is_pinned or rewind_workflow.application_version is not null,
        queue_name = rewind_workflow.queue_name, partition_key = rewind_workflow.partition_key, is_serial = false,
        deadline_at = null, started_at = null, finished_at = null, updated_at = pyengine.now(),
        rewound_steps = w.rewound_steps || rewind_workflow.start_step
    where w.workflow_id = rewind_workflow.workflow_id;
    perform pyengine._wake_returned(array[pyengine.wait_key('work', coalesce(rewind_workflow.queue_name, ''))]);
end
$$;

comment on function pyengine.rewind_workflow is 'Lets a workflow that has ended run again under its id from start_step on; what it recorded and published from there on is removed, and checkpoints of its transactional steps in other databases count no longer. Idempotent per request_token. Role: client.';
