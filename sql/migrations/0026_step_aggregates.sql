-- What aggregate_steps returns.
create type pyengine.step_aggregate as (
    workflow_name text,
    step_name text,
    step_count bigint,
    error_count bigint,
    run_seconds double precision[]
);
comment on type pyengine.step_aggregate is 'Steps of one name: how many, how many of them failed, and the 50th, 95th and 99th percentile of how long they ran.';
