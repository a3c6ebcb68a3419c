-- Nobody but the owner has any privilege; migrate --application-role grants the functions to a login.
revoke all on schema pyengine from public;
revoke all on all tables in schema pyengine from public;
revoke all on all sequences in schema pyengine from public;
revoke all on all functions in schema pyengine from public;
