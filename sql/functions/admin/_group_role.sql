-- The name of the group for a role of the engine. A schema name that leaves no room for it is replaced by its hash.
create or replace function pyengine._group_role(engine_role text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_schema text;
begin
    select n.nspname into strict v_schema from pg_namespace n where n.oid = pyengine._namespace();
    if octet_length(v_schema) > 54 then
        v_schema := 'pyengine_' || left(encode(sha256(convert_to(v_schema, 'UTF8')), 'hex'), 16);
    end if;
    return v_schema || '_' || _group_role.engine_role;
end
$$;

comment on function pyengine._group_role is 'Name of the group role for a role of the engine.';
