-- The documents of the batch functions as types, so that one document alone is read without a set of rows.
create type pyengine.step_request as (
    workflow_id text,
    lease_token uuid,
    step_id int,
    name text,
    child_workflow_id text,
    elapsed_ms double precision,
    serialization text,
    output json,
    error json
);
comment on type pyengine.step_request is 'A document of record_steps.';

create type pyengine.finish_request as (
    workflow_id text,
    lease_token uuid,
    serialization text,
    output json,
    error json
);
comment on type pyengine.finish_request is 'A document of finish_workflows.';
