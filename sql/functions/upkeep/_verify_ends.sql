-- Deadlines fire; what has ended has one outcome, and did nothing afterwards. Of the ended ones it looks at a sample.
create or replace function pyengine._verify_ends(sample_pages int)
returns setof pyengine.violation
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
    return query
    select 'deadlines fire', w.workflow_id::text, format('its deadline was %s', w.deadline_at)
    from pyengine.workflows w
    where w.deadline_at < pyengine.now() - interval '10 seconds' and w.finished_at is null and pyengine._is_served();

    return query
    select 'one outcome', w.workflow_id::text, format('it is %s, and has %s', w.status,
        case when w.error is not null then 'an error' else 'an output or no error' end)
    from pyengine.workflows w tablesample system (pyengine._sample_percent('workflows', _verify_ends.sample_pages))
    where w.finished_at is not null and case w.status
        when 'SUCCESS' then w.error is not null
        when 'ERROR' then w.error is null or w.output is not null
        else num_nonnulls(w.output, w.error) > 0 end;

    return query
    select 'nothing happens after the end', w.workflow_id::text,
        format('step %s was recorded at %s, after its end at %s', s.step_id, s.completed_at, w.finished_at)
    from pyengine.steps s tablesample system (pyengine._sample_percent('steps', _verify_ends.sample_pages))
    join pyengine.workflows w on w.workflow_id = s.workflow_id
    where s.completed_at > w.finished_at + interval '10 seconds' and s.name <> 'DBOS.sleep';
end
$$;

comment on function pyengine._verify_ends is 'Violations of deadlines and ends.';
