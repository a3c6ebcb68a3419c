-- What the functions return that measure workflows.
create type pyengine.workflow_aggregate as (
    groups json,
    workflow_count bigint,
    oldest_created_at timestamptz,
    newest_created_at timestamptz,
    wait_seconds double precision[],
    run_seconds double precision[]
);
comment on type pyengine.workflow_aggregate is 'A group of workflows: how many, how old, and the 50th, 95th and 99th percentile of how long they waited for their last start and ran.';

create type pyengine.outcome_rate as (
    application_name text,
    name text,
    queue_name text,
    status text,
    workflow_count bigint,
    per_second double precision,
    wait_seconds double precision[],
    run_seconds double precision[]
);
comment on type pyengine.outcome_rate is 'Workflows of one kind that ended within a window: how many, how many a second, and the 50th, 95th and 99th percentile of how long they waited and ran.';
