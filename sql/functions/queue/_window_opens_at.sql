-- When the oldest start leaves a rate window of a queue, so that another may follow.
create or replace function pyengine._window_opens_at(queue pyengine.queues)
returns timestamptz
language sql
stable
as $$
    select least(
        (select min(s.started_at) + (queue).limiter_period
         from pyengine.queue_starts s
         where s.queue_name = (queue).queue_name and s.partition_key is null),
        (select min(s.started_at) + (queue).partition_limiter_period
         from pyengine.queue_starts s
         where s.queue_name = (queue).queue_name and s.partition_key is not null
             and s.started_at > pyengine.now() - (queue).partition_limiter_period)
    )
$$;

comment on function pyengine._window_opens_at is 'When the next start may follow under a queue''s rate limits.';
