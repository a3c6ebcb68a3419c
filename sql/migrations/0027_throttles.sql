-- Throttles: at most one start for each key of a queue in a period. The row is what enqueues with its key wait for.
create table pyengine.throttles (
    queue_name text collate "C" not null,
    throttle_key text collate "C" not null,
    workflow_id text collate "C",
    ends_at timestamptz not null,

    constraint throttles_pkey primary key (queue_name, throttle_key)
);

comment on table pyengine.throttles is 'The last start of each throttle key of a queue, and until when it allows no other.';
comment on column pyengine.throttles.workflow_id is 'The workflow that was started; null if none was yet.';

-- For: removing the keys whose period is over.
create index throttles_ends_idx on pyengine.throttles (ends_at);
