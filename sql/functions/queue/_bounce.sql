-- Give the workflow that holds the key of a debounced call the call's inputs and time, and record that in the calling
-- workflow. Null when nobody holds the key any more; a refusal when another kind of workflow does.
-- Locks: the calling workflow and the holder (no key update, in id order).
--
-- What was debounced has its key for as long as it is delayed: who makes it claimable takes the key away.
--
-- Inputs, version and identity go together: what runs are the inputs of the last call, as its caller's.
create or replace function pyengine._bounce(call pyengine.debounce_call)
returns pyengine.debounce_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz;
    v_holder record;
    v_answer pyengine.debounce_answer;
begin
    select w.workflow_id
    into v_holder
    from pyengine.workflows w
    where w.deduplication_id = (call).deduplication_id and w.queue_name is not distinct from (call).queue_name;

    if (call).parent_workflow_id is not null then
        perform 1
        from pyengine.workflows w
        where w.workflow_id in ((call).parent_workflow_id, v_holder.workflow_id)
        order by w.workflow_id
        for no key update;
        perform pyengine._hold_lease((call).parent_workflow_id, (call).parent_lease_token);
        v_answer := pyengine._recorded_bounce((call).parent_workflow_id, (call).start_step_id);
    end if;
    if v_answer.workflow_id is not null or v_holder.workflow_id is null then
        return v_answer;
    end if;

    v_now := pyengine.now();
    update pyengine.workflows w
    set inputs = (call).inputs, serialization = (call).serialization,
        application_version = (call).application_version, version_is_pinned = (call).version_is_pinned,
        max_attempts = (call).max_attempts, authenticated_user = (call).authenticated_user,
        assumed_role = (call).assumed_role, authenticated_roles = (call).authenticated_roles,
        delayed_until = least(v_now + (call).period, w.debounce_until), updated_at = v_now
    where w.workflow_id = v_holder.workflow_id and w.deduplication_id = (call).deduplication_id
        and w.debounce_until is not null
        and (w.name, w.class_name, w.config_name, w.application_name)
            is not distinct from ((call).name, (call).class_name, (call).config_name, (call).application_name);
    if found then
        perform pyengine._record_bounce(call, v_holder.workflow_id);
        return row(v_holder.workflow_id, false, null, null)::pyengine.debounce_answer;
    end if;

    if not exists (
        select 1 from pyengine.workflows w
        where w.workflow_id = v_holder.workflow_id and w.deduplication_id = (call).deduplication_id
    ) then
        return null;
    end if;
    return row(v_holder.workflow_id, false, 'PE409', format(
        'the key %s is held by workflow %s, which was not debounced, or is another function or application',
        (call).deduplication_id, v_holder.workflow_id))::pyengine.debounce_answer;
end
$$;

comment on function pyengine._bounce is 'Puts off the workflow that holds the key of a debounced call; null when there is none.';
