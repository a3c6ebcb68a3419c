-- Facts about the processes that could run a workflow: how many there are, or what those that live lack.
create or replace function pyengine._explain_processes(workflow pyengine.workflows)
returns setof pyengine.fact
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    v_workflow pyengine.workflows := _explain_processes.workflow;
    v_key text := pyengine.function_key(v_workflow.name, v_workflow.class_name, v_workflow.config_name);
    v_application text := 'application ' || v_workflow.application_name;
    v_live pyengine.executors[];
    v_versions text[];
begin
    v_live := array(
        select e from pyengine.executors e
        where not e.work_is_returned and pyengine._executor_state(e) = 'live'
            and (v_workflow.application_name is null or e.application_name = v_workflow.application_name)
        order by e.executor_id
    );
    if v_live = '{}' then
        return query select 'no_process', format('No process of %s is alive.', coalesce(v_application, 'any application')),
            json_build_object('application_name', v_workflow.application_name);
        return;
    end if;
    v_versions := array(
        select distinct e.application_version from unnest(v_live) e where v_key = any (e.functions) order by 1
    );
    if v_versions = '{}' then
        return query
        select 'no_function', format('%s has %s, and none has the function %s: start one that registers it.',
            coalesce(initcap(left(v_application, 1)) || substr(v_application, 2), 'This database'), pyengine._counted(cardinality(v_live), 'live process'), v_key), json_build_object('function_key', v_key);
        return;
    end if;
    return query
    select case when r.names is null then 'no_version' else 'processes' end,
        case when r.names is not null then format('It can be run by %s: %s.', pyengine._counted(cardinality(r.names), 'live process'),
                array_to_string(r.names[1:5], ', ') || case when cardinality(r.names) > 5 then ' …' else '' end)
            when v_workflow.version_is_pinned then format('Only version %s may run it, and the live processes that have the '
                || 'function are of version %s: start a process of its version, or fork it to another.',
                v_workflow.application_version, array_to_string(v_versions, ', '))
            else format('It belongs to no version, so the latest runs it, and the live processes that have the function are of '
                || 'version %s.', array_to_string(v_versions, ', ')) end,
        json_build_object('executor_names', r.names, 'application_versions', v_versions,
            'application_version', v_workflow.application_version)
    from (
        select array_agg(e.name order by e.executor_id) as names
        from unnest(v_live) e
        where pyengine._may_run(e, v_workflow.application_name, v_workflow.application_version,
            v_workflow.version_is_pinned, v_workflow.name, v_workflow.class_name, v_workflow.config_name)
    ) r;
end
$$;

comment on function pyengine._explain_processes is 'Facts about the processes that could run a workflow.';
