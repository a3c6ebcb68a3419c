-- Start a new workflow from an old one: the same function and inputs, and the outcomes of the steps before start_step.
-- The old one stays as it is, in whatever status. Messages are not copied. replacement_children ({old id: new id})
-- lets the copied steps name other children. Without an application_version any process may run the fork that has
-- the function. Returns the new id. Locks: the old workflow's row (no key update), then the new one.
--
-- A repeated call with the same new_workflow_id and request_token finds its own fork and changes nothing. Without a
-- new_workflow_id the request_token is the new id.
create or replace function pyengine.fork_workflow(
    workflow_id text,
    start_step int default 1,
    new_workflow_id text default null,
    application_version text default null,
    queue_name text default null,
    partition_key text default null,
    replacement_children json default null,
    timeout_ms double precision default null,
    request_token uuid default null
)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_new_id text := coalesce(
        fork_workflow.new_workflow_id, fork_workflow.request_token::text, pyengine.generate_workflow_id());
    v_known pyengine.workflows;
begin
    perform pyengine._check_fork(
        v_new_id, fork_workflow.start_step, fork_workflow.queue_name, fork_workflow.partition_key,
        fork_workflow.replacement_children, fork_workflow.timeout_ms);
    update pyengine.workflows w set was_forked_from = true where w.workflow_id = fork_workflow.workflow_id;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no workflow %s to fork', fork_workflow.workflow_id),
            detail = json_build_object('workflow_id', fork_workflow.workflow_id)::text;
    end if;

    insert into pyengine.workflows (
        workflow_id, status, name, class_name, config_name, application_name, application_version, version_is_pinned,
        start_token, max_attempts, queue_name, partition_key, forked_from,
        authenticated_user, assumed_role, authenticated_roles, attributes, timeout,
        created_at, updated_at, serialization, inputs, base_step_id
    )
    select v_new_id, 'ENQUEUED', o.name, o.class_name, o.config_name, o.application_name,
        fork_workflow.application_version, fork_workflow.application_version is not null,
        fork_workflow.request_token, o.max_attempts, fork_workflow.queue_name, fork_workflow.partition_key, o.workflow_id,
        o.authenticated_user, o.assumed_role, o.authenticated_roles, o.attributes,
        make_interval(secs => fork_workflow.timeout_ms / 1000), v_now, v_now, o.serialization, o.inputs, o.base_step_id
    from pyengine.workflows o
    where o.workflow_id = fork_workflow.workflow_id
    on conflict on constraint workflows_pkey do nothing;
    if not found then
        select k.* into v_known from pyengine.workflows k where k.workflow_id = v_new_id;
        if v_known.start_token = fork_workflow.request_token and v_known.forked_from = fork_workflow.workflow_id then
            return v_new_id;
        end if;
        raise exception using errcode = 'PE409',
            message = format('workflow %s can''t be forked as %s: a workflow with that id exists, choose another',
                fork_workflow.workflow_id, v_new_id),
            detail = json_build_object('workflow_id', v_new_id)::text;
    end if;

    perform pyengine._copy_history(
        fork_workflow.workflow_id, v_new_id, fork_workflow.start_step, fork_workflow.replacement_children);
    perform pyengine._wake(array[pyengine.wait_key('work', coalesce(fork_workflow.queue_name, ''))]);
    return v_new_id;
end
$$;

comment on function pyengine.fork_workflow is 'Starts a new workflow with the inputs of another and the outcomes of its steps before start_step; returns the new id. Idempotent per new_workflow_id and request_token; without a new_workflow_id the token is the new id. Role: client.';
