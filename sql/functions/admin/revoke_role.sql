-- Take the engine's roles from a role of the cluster.
create or replace function pyengine.revoke_role(role_name text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_schema text;
begin
    if revoke_role.role_name = current_user then
        raise exception using errcode = 'PE400',
            message = format('role_name %L owns the schema: nothing can be taken from it', revoke_role.role_name);
    end if;
    select n.nspname into strict v_schema from pg_namespace n where n.oid = pyengine._namespace();
    execute format('revoke all on all functions in schema %I from %I', v_schema, revoke_role.role_name);
    execute format('revoke all on all tables in schema %I from %I', v_schema, revoke_role.role_name);
    execute format('revoke all on schema %I from %I', v_schema, revoke_role.role_name);
end
$$;

comment on function pyengine.revoke_role is 'Takes everything in this schema from a login or group. Role: owner.';
