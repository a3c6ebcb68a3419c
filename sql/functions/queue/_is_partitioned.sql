-- Whether a queue has a partition limit, so that its work is served key by key.
create or replace function pyengine._is_partitioned(queue pyengine.queues)
returns boolean
language sql
immutable
as $$
    select pg_catalog.num_nonnulls((queue).partition_concurrency, (queue).partition_worker_concurrency,
        (queue).partition_limiter_limit) > 0
$$;

comment on function pyengine._is_partitioned is 'Whether a queue has a partition limit.';
