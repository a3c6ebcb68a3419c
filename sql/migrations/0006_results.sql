-- Result types of the batch functions. A batch answers only for the rows that need an answer.
create type pyengine.start_answer as (
    item int,
    refusal text,
    message text,
    status text,
    name text,
    class_name text,
    config_name text,
    queue_name text,
    holder_id text
);
comment on type pyengine.start_answer is 'A start that created nothing: refused (with its code; holder_id is the workflow that holds the deduplication id), or the id exists (the row as it is).';

create type pyengine.step_answer as (
    item int,
    refusal text,
    message text,
    name text,
    child_workflow_id text,
    serialization text,
    output json,
    error json
);
comment on type pyengine.step_answer is 'A checkpoint that stored nothing: refused (with its code), or the step has an outcome already (which holds).';

create type pyengine.finish_answer as (
    item int,
    refusal text,
    message text
);
comment on type pyengine.finish_answer is 'An outcome that was refused, with its code.';

create type pyengine.batch_answer as (
    kind text,
    item int,
    answer json
);
comment on type pyengine.batch_answer is 'An answer of one part of a mixed batch.';

create type pyengine.outcome as (
    workflow_id text,
    status text,
    serialization text,
    output json,
    error json
);
comment on type pyengine.outcome is 'How a workflow ended.';

create type pyengine.claimed_workflow as (
    workflow_id text,
    name text,
    class_name text,
    config_name text,
    attempt_count int,
    queue_name text,
    deadline_at timestamptz,
    authenticated_user text,
    assumed_role text,
    authenticated_roles text[],
    serialization text,
    inputs json,
    step_ids int[],
    step_names text[],
    step_children text[],
    step_serializations text[],
    step_outputs text[],
    step_errors text[]
);
comment on type pyengine.claimed_workflow is 'A workflow handed to an executor: what to call, its input, and its whole history.';

create type pyengine.key_round as (
    workflow_ids text[],
    partition_keys text[],
    last_key text
);
comment on type pyengine.key_round is 'What was chosen on a round through the partition keys of a queue, and the key that was looked at last.';

create type pyengine.tick_result as (
    is_alive boolean,
    reaped_executors int,
    requeued_workflows int,
    claimable boolean
);
comment on type pyengine.tick_result is 'What one maintenance tick found and did.';
