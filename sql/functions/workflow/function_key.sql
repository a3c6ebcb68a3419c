-- The key under which an executor says that it has a workflow function: class/instance/name, without what is absent.
create or replace function pyengine.function_key(name text, class_name text default null, config_name text default null)
returns text
language sql
immutable
as $$ select coalesce(class_name || '/', '') || coalesce(config_name || '/', '') || name $$;

comment on function pyengine.function_key is 'Key of a workflow function in executors.functions: class/instance/name, without what is absent. Role: observer.';
