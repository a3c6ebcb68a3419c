-- How many runs a workflow has that was started without a number: what the executor says of its function, else as many
-- as the Python library gives by default, so that no function that ends its process is run for ever.
create or replace function pyengine._attempt_limit(attempt_limits jsonb, name text, class_name text, config_name text)
returns int
language sql
immutable
as $$
    select case when attempt_limits operator(pg_catalog.?) pyengine.function_key(name, class_name, config_name)
        then (attempt_limits operator(pg_catalog.->>) pyengine.function_key(name, class_name, config_name))::int
        else 101 end
$$;

comment on function pyengine._attempt_limit is 'How many runs an executor allows a workflow that was started without a number; null is any number.';
