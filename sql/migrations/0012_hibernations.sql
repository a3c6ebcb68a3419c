-- Hibernations: what workflows wait for that no process holds in memory meanwhile.
--
-- A hibernated workflow is PENDING without a lease and without an executor, and has at least one row here. It is due
-- when one of its rows is due. Rows that time alone makes due have a due time from the start; the others get one from
-- whoever makes them come true.
create table pyengine.hibernations (
    workflow_id text collate "C" not null,
    wait_key bigint not null,
    kind text not null,
    source_id text collate "C" not null,
    name text not null,
    queue_name text not null,
    due_at timestamptz,

    constraint hibernations_pkey primary key (workflow_id, wait_key),
    constraint hibernations_kind_valid check (kind in ('time', 'result', 'message', 'event', 'stream')),
    constraint hibernations_time_has_due check (kind <> 'time' or due_at is not null)
);

comment on table pyengine.hibernations is 'What hibernated workflows wait for, one row for each; rows without a due time become due when it comes true.';
comment on column pyengine.hibernations.workflow_id is 'The workflow that waits.';
comment on column pyengine.hibernations.wait_key is 'wait_key(kind, source_id, name), by which it is found when it comes true.';
comment on column pyengine.hibernations.source_id is 'The workflow whose result, event, stream or mail is waited for; for a time the waiting workflow.';
comment on column pyengine.hibernations.name is 'The topic or key, else empty.';
comment on column pyengine.hibernations.queue_name is 'The queue of the waiting workflow; empty without a queue.';
comment on column pyengine.hibernations.due_at is 'When the workflow is to be resumed: the end of the wait, or when it came true.';

-- For: finding who waits for something that came true.
create index hibernations_wait_idx on pyengine.hibernations (wait_key) where kind <> 'time';
-- For: resuming what is due, queue by queue, and knowing when the next one is due.
create index hibernations_due_idx on pyengine.hibernations (queue_name, due_at) where due_at is not null;

comment on column pyengine.workflows.status is 'ENQUEUED and DELAYED wait to be claimed, PENDING is owned by an executor or hibernates, the others are terminal.';
comment on column pyengine.workflows.executor_id is 'The process that runs it now, or ran it last; null while it hibernates.';
comment on column pyengine.workflows.lease_token is 'Random token of the current run; every write of a run must name it. Null when nobody owns the workflow; a PENDING one without it hibernates.';

alter type pyengine.claimed_workflow add attribute claimed_at timestamptz;
