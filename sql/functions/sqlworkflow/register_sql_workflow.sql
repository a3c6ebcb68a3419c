-- Register functions of this database as the steps of a workflow, in order. Each takes a json value and returns one.
-- They run with the rights of whoever runs the workflow, as a trigger's function does: to register one is to trust its owner.
-- Locks: the executors that run such workflows, in id order.
create or replace function pyengine.register_sql_workflow(
    name text,
    steps regproc[],
    application_name text default null
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_steps text[];
    v_owners text[];
    v_unfit text;
begin
    if register_sql_workflow.name is null or btrim(register_sql_workflow.name) = ''
        or octet_length(register_sql_workflow.name) > 512 then
        raise exception using errcode = 'PE400', message = 'name must have 1 to 512 bytes and not be blank';
    elsif cardinality(register_sql_workflow.steps) between 1 and 100 is not true
        or array_position(register_sql_workflow.steps, null) is not null then
        raise exception using errcode = 'PE400', message = 'steps must name 1 to 100 functions';
    end if;

    select array_agg(format('%I.%I', n.nspname, p.proname) order by s.item),
        array_agg(pg_get_userbyid(p.proowner)::text order by s.item),
        min(s.function_oid::text) filter (where p.oid is null or p.prokind <> 'f' or p.proretset
            or p.prorettype <> 'json'::regtype or p.proargtypes <> array['json'::regtype::oid]::oidvector)
    into v_steps, v_owners, v_unfit
    from unnest(register_sql_workflow.steps) with ordinality s (function_oid, item)
    left join pg_proc p on p.oid = s.function_oid
    left join pg_namespace n on n.oid = p.pronamespace;
    if v_unfit is not null then
        raise exception using errcode = 'PE400',
            message = format('%s can''t be a step: a step is a function of one json argument that returns json', v_unfit);
    end if;

    insert into pyengine.sql_workflows as w (name, application_name, steps, step_owners, registered_at)
    values (register_sql_workflow.name, register_sql_workflow.application_name, v_steps, v_owners, pyengine.now())
    on conflict on constraint sql_workflows_pkey do update
    set application_name = excluded.application_name, steps = excluded.steps, step_owners = excluded.step_owners,
        registered_at = excluded.registered_at;
    perform pyengine._renew_sql_functions(register_sql_workflow.name);
end
$$;

comment on function pyengine.register_sql_workflow is 'Registers functions (json) returns json as the steps of a workflow; they run with the rights of the workers. Registering a name again replaces its steps. Role: admin.';
