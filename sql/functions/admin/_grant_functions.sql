-- Let a role call exactly what a role of the engine may. A comment that ends in "Role: client." declares that
-- clients, and the roles after them, may call the function or read the view.
create or replace function pyengine._grant_functions(role_name text, engine_role text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_declaration constant text := 'Role: (\w+)\.$';
    v_rank int := pyengine._role_rank(_grant_functions.engine_role);
    v_schema text;
    v_name text;
begin
    perform pyengine.revoke_role(_grant_functions.role_name);
    select n.nspname into strict v_schema from pg_namespace n where n.oid = pyengine._namespace();
    execute format('grant usage on schema %I to %I', v_schema, _grant_functions.role_name);
    for v_name in
        select p.proname
        from pg_proc p
        where p.pronamespace = pyengine._namespace()
            and (
                pyengine._role_rank(substring(obj_description(p.oid, 'pg_proc') from v_declaration)) <= v_rank
                or p.proname = '_role_' || _grant_functions.engine_role
            )
    loop
        execute format('grant execute on function %I.%I to %I', v_schema, v_name, _grant_functions.role_name);
    end loop;
    for v_name in
        select c.relname
        from pg_class c
        where c.relnamespace = pyengine._namespace()
            and c.relkind = 'v'
            and pyengine._role_rank(substring(obj_description(c.oid, 'pg_class') from v_declaration)) <= v_rank
    loop
        execute format('grant select on %I.%I to %I', v_schema, v_name, _grant_functions.role_name);
    end loop;
end
$$;

comment on function pyengine._grant_functions is 'Lets a role call exactly what a role of the engine may.';
