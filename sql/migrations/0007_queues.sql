-- Queues: how much of their work may run at once, and how often it may start.
create table pyengine.queues (
    queue_name text not null,
    application_name text,
    worker_concurrency int,
    concurrency int,
    partition_concurrency int,
    partition_worker_concurrency int,
    limiter_limit int,
    limiter_period interval,
    partition_limiter_limit int,
    partition_limiter_period interval,
    polling_interval interval not null default interval '1 second',
    max_depth int,
    is_paused boolean not null default false,
    claim_count bigint not null default 1,
    counted_from bigint not null default 0,
    snapshot_claims_until timestamptz,
    last_started_at timestamptz,
    partition_cursor text,
    created_at timestamptz not null,
    updated_at timestamptz not null,

    constraint queues_pkey primary key (queue_name),
    constraint queues_limits_are_positive check (
        worker_concurrency > 0 and concurrency > 0 and partition_concurrency > 0 and partition_worker_concurrency > 0
        and limiter_limit > 0 and limiter_period > interval '0'
        and partition_limiter_limit > 0 and partition_limiter_period > interval '0'
        and max_depth > 0 and polling_interval > interval '0'
    ),
    constraint queues_limiter_is_complete check ((limiter_limit is null) = (limiter_period is null)),
    constraint queues_partition_limiter_is_complete check (
        (partition_limiter_limit is null) = (partition_limiter_period is null)
    ),
    constraint queues_worker_fits_concurrency check (worker_concurrency <= concurrency),
    constraint queues_partition_fits_concurrency check (partition_concurrency <= concurrency),
    constraint queues_partition_worker_fits check (
        partition_worker_concurrency <= partition_concurrency
        and partition_worker_concurrency <= worker_concurrency
        and partition_worker_concurrency <= concurrency
    )
) with (fillfactor = 50);

comment on table pyengine.queues is 'Queues and their limits; a null limit is no limit.';
comment on column pyengine.queues.worker_concurrency is 'How many of its workflows may run at once in one process.';
comment on column pyengine.queues.concurrency is 'How many of its workflows may run at once in all processes.';
comment on column pyengine.queues.partition_concurrency is 'How many with the same partition key may run at once. Any partition limit makes the queue partitioned.';
comment on column pyengine.queues.limiter_limit is 'How many may start in any window of limiter_period.';
comment on column pyengine.queues.max_depth is 'How many may wait; a further enqueue is refused with PE429.';
comment on column pyengine.queues.claim_count is 'The number of claims under a limit, as far as they are told apart: raised by those after which others take their turn, or that set counted_from.';
comment on column pyengine.queues.counted_from is 'No workflow of a claim with a smaller number runs any more.';
comment on column pyengine.queues.snapshot_claims_until is 'Until then there may be claims under repeatable read or serializable, which must see each other claim.';
comment on column pyengine.queues.last_started_at is 'The engine''s time at the last claim under a rate limit; it never goes back.';
comment on column pyengine.queues.partition_cursor is 'The partition key that was looked at last; the next claim begins behind it.';

-- Starts: what rate limits count. Append-only, one row for each claim, so that no cancel, recovery or clean-up gives a start back.
create table pyengine.queue_starts (
    queue_name text not null,
    partition_key text,
    started_at timestamptz not null,
    start_count int not null,

    constraint queue_starts_count_is_positive check (start_count > 0)
);

comment on table pyengine.queue_starts is 'Log of starts under a rate limit; rows older than the window are removed.';

-- For: counting the starts of a window.
create index queue_starts_window_idx on pyengine.queue_starts (queue_name, partition_key, started_at);
-- For: removing the starts that no window reaches any more, whatever their keys.
create index queue_starts_age_idx on pyengine.queue_starts (queue_name, started_at);
-- For: counting the running workflows of a partition.
create index workflows_partition_running_idx on pyengine.workflows (queue_name, partition_key, executor_id)
    where status = 'PENDING' and partition_key is not null;
-- For: claiming what has a partition key from a queue without partition limits, and finding serial work.
create index workflows_keyed_claimable_idx
    on pyengine.workflows (queue_name, is_serial, priority, created_at, workflow_id)
    where status = 'ENQUEUED' and partition_key is not null;
-- For: claiming key by key.
create index workflows_partition_claimable_idx
    on pyengine.workflows (queue_name, partition_key, priority, created_at, workflow_id)
    where status = 'ENQUEUED' and partition_key is not null;
-- For: finding delayed workflows that are due.
create index workflows_delayed_idx on pyengine.workflows (delayed_until) where status = 'DELAYED';
-- For: one active workflow for each deduplication id of a queue.
create unique index workflows_deduplication_idx on pyengine.workflows (queue_name, deduplication_id)
    where deduplication_id is not null;

create type pyengine.workable_queue as (
    queue pyengine.queues,
    is_locked boolean
);
comment on type pyengine.workable_queue is 'A queue that has claimable work; locked, so that its limits can be counted.';
