-- Nobody but the owner has any privilege, and those who were given a role of the engine: what that role may do is
-- declared by the comments of the functions and views. grant_role gives a role.
revoke all on schema pyengine from public;
revoke all on all tables in schema pyengine from public;
revoke all on all sequences in schema pyengine from public;
revoke all on all functions in schema pyengine from public;

do $$
begin
    perform pyengine.renew_roles();
end
$$;
