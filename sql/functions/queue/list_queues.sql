-- Queues by name, of one application or all, or with given names.
create or replace function pyengine.list_queues(application_name text default null, queue_names text[] default null)
returns setof pyengine.queues
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select q.*
    from pyengine.queues q
    where (list_queues.application_name is null or q.application_name is null
            or q.application_name = list_queues.application_name)
        and (list_queues.queue_names is null or q.queue_name = any (list_queues.queue_names))
    order by q.queue_name;
end
$$;

comment on function pyengine.list_queues is 'Queues by name: of one application (and of none), or all. Role: observer.';
