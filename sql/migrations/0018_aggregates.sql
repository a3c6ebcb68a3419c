-- What aggregate_workflows returns.
create type pyengine.workflow_aggregate as (
    groups json,
    workflow_count bigint,
    oldest_created_at timestamptz,
    newest_created_at timestamptz,
    wait_seconds double precision[],
    run_seconds double precision[]
);
comment on type pyengine.workflow_aggregate is 'A group of workflows: how many, how old, and the 50th, 95th and 99th percentile of how long they waited for their last start and ran.';
