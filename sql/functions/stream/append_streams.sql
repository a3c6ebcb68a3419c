-- Append values to streams (a json array of {workflow_id, lease_token, step_id, step_name, key, is_end, serialization,
-- value}), each at the next position. With step_name the step is recorded in the same commit, and a step that is
-- recorded already appends nothing; without one (inside a step) a repeated call appends again. Locks: the workflow rows (no key update, in id order): they put the writers of a
-- stream in a row, so that positions have no gaps and nobody has to try twice.
create or replace function pyengine.append_streams(requests json)
returns setof pyengine.append_answer
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
    v_asked int;
    v_owned int[];
    v_keys bigint[];
begin
    -- In a statement of its own, so that the next one sees what those have appended whom this one waited for.
    perform 1
    from (
        select distinct r.workflow_id collate "C" as workflow_id
        from json_to_recordset(pyengine._as_batch(append_streams.requests)) as r (workflow_id text)
        order by 1
    ) r
    cross join lateral (
        select 1 from pyengine.workflows o where o.workflow_id = r.workflow_id for no key update
    ) w;

    with request as materialized (
        select r.* from pyengine._append_requests(append_streams.requests) r
    ), owned as materialized (
        select r.*, w.attempt_count
        from request r
        join pyengine.workflows w on w.workflow_id = r.workflow_id and w.lease_token = r.lease_token
        where r.refusal is null
    ), recorded as (
        insert into pyengine.steps (workflow_id, step_id, name, attempt, started_at, completed_at, serialization)
        select r.workflow_id, r.step_id, r.step_name, r.attempt_count, v_now, v_now, 'json'
        from owned r
        where r.step_name is not null
        on conflict on constraint steps_pkey do nothing
        returning workflow_id, step_id
    ), fresh as materialized (
        select r.*, row_number() over (partition by r.workflow_id, r.key order by r.item) - 1 as rank
        from owned r
        where r.step_name is null
            or exists (
                select 1 from recorded d where d.workflow_id = r.workflow_id and d.step_id = r.step_id
            )
    ), appended as (
        insert into pyengine.streams (workflow_id, key, position, step_id, is_end, serialization, value)
        select r.workflow_id, r.key, p.next_position + r.rank, r.step_id, r.is_end, r.serialization, r.value
        from fresh r
        cross join lateral (
            select coalesce((
                select s.position + 1 from pyengine.streams s
                where s.workflow_id = r.workflow_id and s.key = r.key
                order by s.position desc
                limit 1
            ), 0) as next_position
        ) p
        returning pyengine.wait_key('stream', workflow_id, key) as wait_key
    )
    select (select count(*) from request),
        (select coalesce(array_agg(o.item), '{}') from owned o),
        (select array_agg(distinct a.wait_key) from appended a)
    into v_asked, v_owned, v_keys;

    perform pyengine._wake(v_keys);
    if cardinality(v_owned) < v_asked then
        return query
        select r.item, coalesce(r.refusal, case when w.workflow_id is null then 'PE404'
                when w.status = 'CANCELLED' then 'PE002' else 'PE001' end),
            format('a value of stream %s of workflow %s was not appended', r.key, r.workflow_id)
        from pyengine._append_requests(append_streams.requests) r
        left join pyengine.workflows w on w.workflow_id = r.workflow_id
        where r.item <> all (v_owned);
    end if;
end
$$;

comment on function pyengine.append_streams is 'Appends a json array of values to streams in one commit, each at the next position, under the leases of their runs; answers only for those that it refused. Role: worker.';
