-- Give every holder of a role of the engine what that role may do now. Each migration ends with it.
create or replace function pyengine.renew_roles()
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_holder record;
begin
    for v_holder in
        select distinct on (a.grantee)
            pg_get_userbyid(a.grantee) as role_name,
            substring(p.proname from '^_role_(.*)$') as engine_role
        from pg_proc p
        cross join aclexplode(p.proacl) a
        where p.pronamespace = pyengine._namespace()
            and pyengine._role_rank(substring(p.proname from '^_role_(.*)$')) is not null
            and a.grantee not in (0, p.proowner)
        order by a.grantee, pyengine._role_rank(substring(p.proname from '^_role_(.*)$')) desc
    loop
        perform pyengine._grant_functions(v_holder.role_name, v_holder.engine_role);
    end loop;
end
$$;

comment on function pyengine.renew_roles is 'Gives every holder of a role of the engine what that role may do now; migrations end with it, and after ALTER EXTENSION pyengine UPDATE it is to be called. Role: owner.';
