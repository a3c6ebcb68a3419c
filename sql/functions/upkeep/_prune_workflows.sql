-- Do the next batch of a retention policy: look at up to batch_limit workflows, oldest first, and remove those that it
-- lets go, whole. Returns how many. The caller has locked the policy.
-- Locks: the workflow rows (update, skipping locked ones).
--
-- A round goes through the ended workflows in the order in which they were created, which needs no index of its own, and the
-- next one begins a minute after its end. A workflow stays as long as the one that started it, which may
-- ask for its result again.
create or replace function pyengine._prune_workflows(policy pyengine.retention_policies, batch_limit int)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    v_policy pyengine.retention_policies := _prune_workflows.policy;
    v_now timestamptz := pyengine.now();
    v_seen int;
    v_expired text[];
begin
    if v_policy.cursor_at = '-infinity' then
        v_policy.keep_from := pyengine._keep_from(v_policy);
    end if;
    with seen as materialized (
        select w.workflow_id, w.created_at, w.parent_workflow_id,
            pyengine._is_expired(v_policy, w.status, w.application_name, w.created_at, w.finished_at, v_now) as is_expired
        from pyengine.workflows w
        where w.finished_at is not null
            and (w.created_at, w.workflow_id) > (v_policy.cursor_at, v_policy.cursor_id)
            and w.created_at < greatest(v_policy.keep_from, v_now - least(v_policy.success_age, v_policy.error_age,
                v_policy.cancelled_age, v_policy.dead_letter_age))
        order by w.created_at, w.workflow_id
        limit _prune_workflows.batch_limit
    ), expired as materialized (
        select s.workflow_id
        from seen s
        left join pyengine.workflows p on p.workflow_id = s.parent_workflow_id
        where s.is_expired and (p.workflow_id is null
            or pyengine._is_expired(v_policy, p.status, p.application_name, p.created_at, p.finished_at, v_now))
    ), locked as (
        select w.workflow_id
        from pyengine.workflows w
        where w.workflow_id in (select e.workflow_id from expired e) and w.finished_at is not null
        order by w.workflow_id
        for update skip locked
    )
    select (select count(*) from seen), array(select l.workflow_id from locked l), l.created_at, l.workflow_id
    into v_seen, v_expired, v_policy.cursor_at, v_policy.cursor_id
    from (select 1) one
    left join (select s.created_at, s.workflow_id from seen s order by s.created_at desc, s.workflow_id desc limit 1) l on true;

    perform pyengine._delete_workflows(v_expired);
    update pyengine.retention_policies r
    set cursor_at = case when v_seen < _prune_workflows.batch_limit then '-infinity' else v_policy.cursor_at end,
        cursor_id = case when v_seen < _prune_workflows.batch_limit then '' else v_policy.cursor_id end,
        keep_from = v_policy.keep_from,
        next_at = case when v_seen < _prune_workflows.batch_limit then v_now + interval '1 minute' else v_now end
    where r.application_name = v_policy.application_name;
    return cardinality(v_expired);
end
$$;

comment on function pyengine._prune_workflows is 'Does the next batch of a retention policy; returns how many workflows it removed.';
