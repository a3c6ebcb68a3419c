-- SQL text of the condition that the id of workflow w begins with one of the prefixes. As a range it needs not be checked
-- again for each id that the index finds, which takes as long as to find it.
create or replace function pyengine._prefixed_sql(prefixes text[])
returns text
language sql
immutable
as $$
    select coalesce(string_agg(case
        when p.prefix ~ '[[:alnum:]_.:/-]$' and ascii(right(p.prefix, 1)) < 127
        then format('w.workflow_id >= %L and w.workflow_id < %L', p.prefix,
            left(p.prefix, -1) || chr(ascii(right(p.prefix, 1)) + 1))
        else format('starts_with(w.workflow_id, %L)', p.prefix) end, ' or '), 'false')
    from unnest(prefixes) p (prefix)
$$;

comment on function pyengine._prefixed_sql is 'SQL text of the condition that the id of workflow w begins with one of the prefixes.';
