-- SQL text of the hash by which an index has the ended workflows of a kind together.
create or replace function pyengine._kind_sql(grouped_by text)
returns text
language sql
immutable
as $$
    select case grouped_by
        when 'kind' then
            'hashtextextended(w.name, hashtextextended(coalesce(w.queue_name, ''''), hashtextextended(w.status, '
            '(w.parent_workflow_id is not null)::int + 2 * (w.forked_from is not null)::int + 4 * w.was_forked_from::int)))'
        when 'origin' then
            'hashtextextended(coalesce(w.executor_name, ''''), hashtextextended(coalesce(w.application_version, ''''), '
            'hashtextextended(coalesce(w.application_name, ''''), 0)))'
        when 'attributes' then 'jsonb_hash_extended(w.attributes, 0)' end
$$;

comment on function pyengine._kind_sql is 'SQL text of the hash of a kind of workflow w: kind, origin or attributes.';
