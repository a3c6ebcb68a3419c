-- SQL text of a condition on workflow w, made of a json tree; null of null. Nothing of the tree reaches the text but
-- values, as quoted literals: columns, operators and functions are looked up here, and what is not here is PE400.
create or replace function pyengine._condition_sql(condition json, depth int default 0)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_op text := _condition_sql.condition ->> 'op';
    v_args text[];
    v_sql text;
begin
    if _condition_sql.condition is null then
        return null;
    elsif json_typeof(_condition_sql.condition) <> 'object' then
        v_sql := null;
    elsif _condition_sql.depth > 50 then
        raise exception using errcode = 'PE400', message = 'the condition is nested more than 50 deep: make it simpler';
    elsif v_op is null then
        v_sql := pyengine._operand_sql(_condition_sql.condition);
    elsif v_op = '=' and _condition_sql.condition #>> '{args,0,column}' = 'status'
        and _condition_sql.condition #>> '{args,1,text}' is not null then
        v_sql := pyengine._status_sql(_condition_sql.condition #>> '{args,1,text}');
    elsif json_typeof(_condition_sql.condition -> 'args') = 'array' then
        select array_agg(pyengine._condition_sql(a.arg, _condition_sql.depth + 1) order by a.n)
        into v_args
        from json_array_elements(_condition_sql.condition -> 'args') with ordinality a (arg, n);
        v_sql := case
            when v_op in ('and', 'or') and cardinality(v_args) > 0 then array_to_string(v_args, format(' %s ', v_op))
            when v_op = 'in' and cardinality(v_args) > 1
                then format('%s in (%s)', v_args[1], array_to_string(v_args[2:], ', '))
            when cardinality(v_args) = 1 then case v_op
                when 'not' then 'not ' || v_args[1]
                when 'is null' then v_args[1] || ' is null'
                when 'lower' then format('lower(%s)', v_args[1])
                when 'upper' then format('upper(%s)', v_args[1])
                when 'length' then format('length(%s)', v_args[1])
                when 'contains' then format('w.attributes @> %s', v_args[1])
                end
            when cardinality(v_args) = 2
                and v_op in ('=', '<>', '<', '<=', '>', '>=', '+', '-', 'like', 'ilike', 'is distinct from')
                then format('%s %s %s', v_args[1], v_op, v_args[2])
            end;
    end if;
    if v_sql is null then
        raise exception using errcode = 'PE400',
            message = format('the condition has a part that means nothing: operator %s', coalesce(quote_literal(v_op), 'missing')),
            detail = json_build_object('operator', left(v_op, 100))::text;
    end if;
    return '(' || v_sql || ')';
end
$$;

comment on function pyengine._condition_sql is 'SQL text of a condition on workflow w that is given as a json tree; raises PE400 for what it does not know.';
