-- Conditions that name the status alone: where work that waits is not meant, nothing is said of its two indexes.
create or replace function pyengine._plain_conditions(conditions text[])
returns text[]
language sql
immutable
as $$
    select array(
        select replace(c.text, pyengine._status_sql('ENQUEUED'), '(w.status = ''ENQUEUED'')')
        from unnest(conditions) with ordinality c (text, n)
        order by c.n)
$$;

comment on function pyengine._plain_conditions is 'Conditions on workflow w without the parts that only choose an index.';
