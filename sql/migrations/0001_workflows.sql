-- Workflows: one row each, with identity, state, ownership, place in a queue, times and payloads.
--
-- Payloads are json, not jsonb: key order and \u0000 survive, so a replayed value is the value.
-- Nothing refers to another workflow by a foreign key and no order depends on a sequence across
-- workflows, so everything about one workflow is reachable by its id alone.
create table pyengine.workflows (
    workflow_id text collate "C" not null,
    name text not null,
    class_name text,
    config_name text,
    application_name text,
    application_version text,
    version_is_pinned boolean not null default false,
    start_token uuid,

    queue_name text,
    priority int not null default 0,
    partition_key text,
    is_serial boolean not null default false,

    parent_workflow_id text collate "C",
    forked_from text collate "C",
    was_forked_from boolean not null default false,
    schedule_name text,

    authenticated_user text,
    assumed_role text,
    authenticated_roles text[],
    attributes jsonb,

    timeout interval,
    created_at timestamptz not null,
    serialization text not null,
    inputs json not null,

    max_attempts int,
    attempt_count int not null default 0,
    executor_id bigint,
    claim_number bigint,
    executor_name text,
    started_at timestamptz,
    deadline_at timestamptz,
    delayed_until timestamptz,

    status text not null,
    lease_token uuid,
    deduplication_id text,
    updated_at timestamptz not null,
    finished_at timestamptz,
    output json,
    error json,

    -- With the age: workflows whose ids begin alike are listed by age, which is read where their ids are.
    constraint workflows_pkey primary key (workflow_id) include (created_at),
    -- A statement that writes a workflow reads the text of each check of the table anew, so there is one: what the life
    -- of a workflow is. verify() looks for the rest.
    constraint workflows_status_valid check (case when finished_at is null
        then status in ('ENQUEUED', 'DELAYED', 'PENDING')
        else status in ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') end)
)
-- Updates find room on their page: then they neither lock the old version for the log first, nor log the columns before
-- and behind those that change.
with (fillfactor = 50);

comment on table pyengine.workflows is 'One row per workflow: identity, state, ownership, queue position, times, payloads.';
comment on column pyengine.workflows.status is 'ENQUEUED and DELAYED wait to be claimed, PENDING is owned by an executor, the others are terminal.';
comment on column pyengine.workflows.version_is_pinned is 'True when the user named the application version: then only that version runs the workflow.';
comment on column pyengine.workflows.executor_id is 'The process that runs it now, or ran it last.';
comment on column pyengine.workflows.claim_number is 'The number of its last claim among those of its queue, if that had limits: what runs is counted from the first that does.';
comment on column pyengine.workflows.executor_name is 'The name of that process, which its restarts keep.';
comment on column pyengine.workflows.lease_token is 'Random token of the current run; every write of a run must name it. Null when nobody owns the workflow.';
comment on column pyengine.workflows.start_token is 'Random token of the call that started it, if that call must know its own start from another''s.';
comment on column pyengine.workflows.attempt_count is 'How often a run was started or claimed.';
comment on column pyengine.workflows.max_attempts is 'Runs allowed before the workflow is dead-lettered; null is no limit.';
comment on column pyengine.workflows.is_serial is 'Runs one at a time with the others of its partition key, even on a queue without partition limits.';
comment on column pyengine.workflows.serialization is 'Format of inputs, output and error: json, portable_json, or the name of a custom serializer (then a json string).';
comment on column pyengine.workflows.started_at is 'When the current or last run began.';

-- For: claiming what has no partition key (order by priority, created_at, workflow_id).
create index workflows_claimable_idx on pyengine.workflows (queue_name, priority, created_at, workflow_id)
    where status = 'ENQUEUED' and partition_key is null;
-- For: giving back the work of a dead executor, and counting what runs of a queue in each process.
create index workflows_running_idx on pyengine.workflows (executor_id, queue_name, claim_number) where status = 'PENDING';
-- For: listing the newest workflows.
create index workflows_created_idx on pyengine.workflows (created_at);
