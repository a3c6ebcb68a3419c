-- One document alone as the batch that it is.
create or replace function pyengine._as_batch(requests json)
returns json
language sql
immutable
as $$
    select case when pg_catalog.json_typeof(requests) = 'object'
        then ('[' || requests::text || ']')::json else requests end
$$;

comment on function pyengine._as_batch is 'A json array of documents from one document or an array.';
