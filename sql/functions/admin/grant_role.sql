-- Give a role of the cluster a role of the engine, in this schema only: observer, client, worker or admin. It replaces
-- what the role had before, and later migrations renew it. The owner may do everything as it is.
create or replace function pyengine.grant_role(role_name text, engine_role text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if pyengine._role_rank(grant_role.engine_role) is null then
        raise exception using errcode = 'PE400',
            message = format('engine_role must be observer, client, worker or admin, not %s',
                coalesce(quote_literal(grant_role.engine_role), 'null'));
    end if;
    if not exists (select from pg_roles r where r.rolname = grant_role.role_name) then
        raise exception using errcode = 'PE400',
            message = format('role_name %s does not exist: create the role first, or correct the name',
                coalesce(quote_literal(grant_role.role_name), 'null'));
    end if;
    if grant_role.role_name <> current_user then
        perform pyengine._grant_functions(grant_role.role_name, grant_role.engine_role);
    end if;
end
$$;

comment on function pyengine.grant_role is 'Gives a login or group (role_name) the engine''s role observer, client, worker or admin in this schema, instead of what it had; migrations renew it. Role: owner.';
