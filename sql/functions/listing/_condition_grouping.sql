-- What a condition on workflow w is about, if that is the same for all workflows of a kind: status, kind, origin or attributes.
create or replace function pyengine._condition_grouping(condition text)
returns text
language sql
immutable
as $$
    select case
        when condition ~ '^[()]*(not )?[()]*w\.(parent_workflow_id|forked_from)\)? is (not )?null[()]*$' then 'kind'
        when c.names is null then null
        when c.names <@ '{status}' then 'status'
        when c.names <@ '{name,queue_name,status,was_forked_from}' then 'kind'
        when c.names <@ '{executor_name,application_version,application_name}' then 'origin'
        when c.names <@ '{attributes}' then 'attributes' end
    from (
        select array_agg(m.found[1]) as names from regexp_matches(condition, '\mw\.("?[a-z_]+)', 'g') m (found)
    ) c
$$;

comment on function pyengine._condition_grouping is 'What a condition on workflow w is about, if it holds for all or none of a kind.';
