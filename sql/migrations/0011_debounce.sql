-- Debouncing: a delayed workflow whose inputs and time later calls replace.
--
-- The key of a debounced workflow is its deduplication_id, so that one index serves both. The index begins with the id,
-- and takes "no queue" as a queue like any other: what waits without a queue has keys too.
drop index pyengine.workflows_deduplication_idx;

-- For: one active workflow for each deduplication id or debounce key of a queue.
create unique index workflows_deduplication_idx on pyengine.workflows (deduplication_id, queue_name)
    nulls not distinct where deduplication_id is not null;

alter table pyengine.workflows add column debounce_until timestamptz;

comment on column pyengine.workflows.debounce_until is 'Until when calls may put a debounced workflow off, infinity if for ever; null if it is not debounced.';

create type pyengine.debounce_answer as (
    workflow_id text,
    is_new boolean,
    refusal text,
    message text
);
comment on type pyengine.debounce_answer is 'The workflow that will run for this call, and whether this call made it; with a refusal the workflow that holds the key.';

create type pyengine.debounce_call as (
    requests json,
    workflow_id text,
    name text,
    class_name text,
    config_name text,
    application_name text,
    application_version text,
    version_is_pinned boolean,
    max_attempts int,
    queue_name text,
    parent_workflow_id text,
    parent_lease_token uuid,
    start_step_id int,
    authenticated_user text,
    assumed_role text,
    authenticated_roles text[],
    serialization text,
    inputs json,
    deduplication_id text,
    period interval,
    debounce_until timestamptz
);
comment on type pyengine.debounce_call is 'A call of debounce_workflow, read and checked.';
