-- Start workflows as start_workflows says, for an executor that is registered (or none).
-- Only those of which one has a parent, a throttle or a queue with a depth limit are looked at before and after.
-- Locks: the queues with a depth limit and the throttle keys, as _prepare_enqueue; the parents (no key update, in id order), then
-- the new rows (in id order).
--
-- What was in the way of a start may be gone when that is looked for, deleted or at its end: such starts are tried again.
create or replace function pyengine._start_batch(requests json, common json, executor_id bigint, executor_name text)
returns setof pyengine.start_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_now timestamptz := pyengine.now();
    v_requests json := pyengine._as_batch(_start_batch.requests);
    v_common json := _start_batch.common;
    v_needs_care boolean := pyengine._needs_care(v_requests, v_common);
    v_full_items int[] := '{}'::int[];
    v_fenced_items int[] := '{}'::int[];
    v_deadlines timestamptz[];
    v_created text[];
    v_queue_names text[];
    v_answers pyengine.start_answer[];
    v_freed_items int[] := '{}'::int[];
begin
    if v_needs_care then
        v_requests := pyengine._with_common(v_requests, v_common);
        v_common := null;
        if pyengine._may_have_field(v_requests, 'queue_name') or pyengine._may_have_field(v_requests, 'throttle_key') then
            v_full_items := pyengine._prepare_enqueue(v_requests);
        end if;
        with request as materialized (
            select r.item, r.parent_workflow_id, r.parent_lease_token
            from pyengine._start_requests(v_requests) r
        ), parent as materialized (
            select r.item, p.lease_token, p.deadline_at
            from (select q.item, q.parent_workflow_id from request q
                  where q.parent_workflow_id is not null order by q.parent_workflow_id collate "C") r
            cross join lateral (
                select w.lease_token, w.deadline_at
                from pyengine.workflows w
                where w.workflow_id = r.parent_workflow_id
                for no key update
            ) p
        )
        select array_agg(p.deadline_at order by r.item), coalesce(array_agg(r.item) filter (
            where r.parent_lease_token is not null and p.lease_token is distinct from r.parent_lease_token), '{}')
        into v_deadlines, v_fenced_items
        from request r
        left join parent p on p.item = r.item;
    end if;

    select c.workflow_ids, c.queue_names
    into v_created, v_queue_names
    from pyengine._create_workflows(v_requests, v_common, _start_batch.executor_id, _start_batch.executor_name,
        v_full_items || v_fenced_items, v_deadlines) c;

    if v_needs_care then
        insert into pyengine.steps (
            workflow_id, step_id, name, attempt, child_workflow_id, started_at, completed_at, serialization
        )
        select r.parent_workflow_id, r.parent_step_id, r.step_name, p.attempt_count, r.workflow_id,
            v_now, v_now, r.serialization
        from pyengine._start_requests(v_requests) r
        join pyengine.workflows p on p.workflow_id = r.parent_workflow_id
        where r.parent_step_id is not null and r.workflow_id = any (v_created)
        on conflict on constraint steps_pkey do nothing;
    end if;
    if v_queue_names is not null then
        perform pyengine._wake(array(select pyengine.wait_key('work', n) from unnest(v_queue_names) n));
    end if;
    if v_needs_care and pyengine._may_have_field(v_requests, 'throttle_key') then
        perform pyengine._begin_throttles(v_requests, v_created);
    end if;
    if cardinality(v_created) < json_array_length(v_requests) then
        v_requests := pyengine._with_common(v_requests, v_common);
        v_answers := array(select a from pyengine._answer_starts(v_requests, v_created, v_full_items) a);
        v_freed_items := array(
            select a.item from unnest(v_answers) a where a.refusal = 'PE409' and a.holder_id is null order by a.item);
        return query
        select a.* from unnest(v_answers) a where a.item <> all (v_freed_items);
    end if;
    if v_freed_items <> '{}' then
        return query
        select v_freed_items[a.item], a.refusal, a.message, a.status, a.name, a.class_name, a.config_name,
            a.queue_name, a.holder_id
        from pyengine._start_batch(
            (select json_agg(r.value order by r.item)
             from json_array_elements(v_requests) with ordinality r (value, item)
             where r.item = any (v_freed_items)),
            null, _start_batch.executor_id, _start_batch.executor_name) a;
    end if;
end
$$;

comment on function pyengine._start_batch is 'Starts or enqueues a json array of workflows.';
