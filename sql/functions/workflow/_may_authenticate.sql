-- Whether the login may say on whose behalf a workflow runs: who may run workflows may, since it could do anything in
-- their place. A client may not, or it would give itself any role.
create or replace function pyengine._may_authenticate()
returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
    return has_function_privilege(session_user, (
        select p.oid from pg_proc p where p.proname = '_role_worker' and p.pronamespace = pyengine._namespace()
    ), 'execute');
end
$$;

comment on function pyengine._may_authenticate is 'Whether the login may say on whose behalf a workflow runs.';
