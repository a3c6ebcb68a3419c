-- When the next start may follow under a queue's rate limits: when the oldest start of a full window leaves it.
-- Null when no window is full: then something else holds the work back.
create or replace function pyengine._window_opens_at(queue pyengine.queues)
returns timestamptz
language sql
volatile
as $$
    select least(
        (select min(s.started_at) + (queue).limiter_period
         from pyengine.queue_starts s
         where s.queue_name = (queue).queue_name and s.partition_key is null
             and s.started_at > pyengine.now() - (queue).limiter_period
         having sum(s.start_count) >= (queue).limiter_limit),
        (select min(k.opens_at)
         from (
             select min(s.started_at) + (queue).partition_limiter_period as opens_at
             from pyengine.queue_starts s
             where s.queue_name = (queue).queue_name and s.partition_key is not null
                 and s.started_at > pyengine.now() - (queue).partition_limiter_period
             group by s.partition_key
             having sum(s.start_count) >= (queue).partition_limiter_limit
         ) k)
    )
$$;

comment on function pyengine._window_opens_at is 'When the next start may follow under a queue''s rate limits; null when none of them is used up.';
