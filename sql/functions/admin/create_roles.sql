-- Create the group roles of this schema, named after it, and grant them the engine's roles. Roles belong to the
-- cluster: one that is there already and has members would let those in, so that is refused unless it was granted here.
create or replace function pyengine.create_roles()
returns setof text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_engine_role text;
    v_name text;
begin
    foreach v_engine_role in array array['observer', 'client', 'worker', 'admin'] loop
        v_name := pyengine._group_role(v_engine_role);
        if not exists (select from pg_roles r where r.rolname = v_name) then
            execute format('create role %I nologin', v_name);
        elsif not has_schema_privilege(v_name, pyengine._namespace(), 'usage')
            and exists (
                select
                from pg_auth_members m
                join pg_roles r on r.oid = m.roleid
                join pg_roles u on u.oid = m.member
                where r.rolname = v_name and u.rolname <> current_user
            )
        then
            raise exception using errcode = 'PE409',
                message = format('role %I exists and has members, who would get the use of this schema: '
                    'give each login its role with grant_role instead, or drop that role first', v_name);
        end if;
        perform pyengine.grant_role(v_name, v_engine_role);
        return next v_name;
    end loop;
end
$$;

comment on function pyengine.create_roles is 'Creates the group roles of this schema (its name and _observer, _client, _worker, _admin), to be granted to logins; returns their names. The owner needs CREATEROLE. Role: owner.';
