-- Give up the run of a workflow that waits: nobody holds it in memory until the wait is over, then it is claimed again
-- and replayed. It stays PENDING, keeps its place under the limits of its queue, and its attempt goes on.
-- timer_step_id is the step that holds the end of the wait (see sleep_until, receive_message and receive_event); waits
-- is a json array of {kind, id, name, position}, as look_again takes it. Either may be absent, not both.
--
-- True when it hibernates now: the run must stop. False when it does not: a wait is over, a workflow that it waits for
-- does not exist yet, or a row is locked by somebody; the caller waits on and may ask again later. Always false under
-- another isolation level than read committed: what was committed just now could not be seen.
--
-- Locks: the waiting workflow (update), those that it waits for (share, in id order), each only if that is free. So
-- whoever makes a wait come true has either committed before, and is seen here, or is held up until this commits, and
-- finds the hibernation: a message locks its receiver, an event, a stream value and an outcome lock their workflow.
create or replace function pyengine.hibernate_workflow(
    workflow_id text,
    lease_token uuid,
    timer_step_id int default null,
    waits json default '[]'
)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_queue_name text;
    v_due timestamptz;
begin
    if hibernate_workflow.timer_step_id is null and json_array_length(hibernate_workflow.waits) = 0 then
        raise exception using errcode = 'PE400',
            message = 'hibernate_workflow needs a timer_step_id or waits: nothing would end the hibernation',
            detail = json_build_object('workflow_id', hibernate_workflow.workflow_id)::text;
    elsif current_setting('transaction_isolation') <> 'read committed' then
        return false;
    end if;
    select w.queue_name
    into v_queue_name
    from pyengine.workflows w
    where w.workflow_id = hibernate_workflow.workflow_id
    for update skip locked;
    if not found then
        return false;
    end if;
    perform pyengine._hold_lease(hibernate_workflow.workflow_id, hibernate_workflow.lease_token);

    if hibernate_workflow.timer_step_id is not null then
        select s.completed_at
        into v_due
        from pyengine.steps s
        where s.workflow_id = hibernate_workflow.workflow_id and s.step_id = hibernate_workflow.timer_step_id;
        if not found or v_due <= pyengine.now() then
            return false;
        end if;
    end if;
    if not pyengine._hold_sources(hibernate_workflow.workflow_id, hibernate_workflow.waits)
        or exists (select 1 from pyengine.look_again(waits => hibernate_workflow.waits, channel => null)) then
        return false;
    end if;

    update pyengine.workflows w
    set lease_token = null, executor_id = null, updated_at = pyengine.now()
    where w.workflow_id = hibernate_workflow.workflow_id;
    insert into pyengine.hibernations as h (workflow_id, wait_key, kind, source_id, name, queue_name, due_at)
    select distinct hibernate_workflow.workflow_id, pyengine.wait_key(r.kind, r.id, coalesce(r.name, '')), r.kind, r.id,
        coalesce(r.name, ''), coalesce(v_queue_name, ''), v_due
    from (
        select q.kind, q.id, q.name
        from json_to_recordset(hibernate_workflow.waits) as q (kind text, id text, name text)
        union all
        select 'time', hibernate_workflow.workflow_id, ''
        where json_array_length(hibernate_workflow.waits) = 0
    ) r
    on conflict on constraint hibernations_pkey do update
    set queue_name = excluded.queue_name, due_at = excluded.due_at;
    return true;
end
$$;

comment on function pyengine.hibernate_workflow is 'Gives up the run of a workflow that waits, until its timer or one of the waits is due; false when it has to go on waiting itself. Raises PE001, PE002 or PE400. Role: worker.';
