-- Executors: the processes that run workflows. A new row and id for each start of a process.
create table pyengine.executors (
    executor_id bigint generated always as identity,
    name text not null,
    application_name text not null,
    application_version text not null,
    version_is_pinned boolean not null,
    functions text[] not null,
    host text,
    process_id int,
    channel text not null,
    lease_duration interval not null,
    started_at timestamptz not null,
    heartbeat_at timestamptz not null,
    session_pid int,
    session_at timestamptz,
    session_lost_at timestamptz,
    finished_at timestamptz,
    finish_reason text,
    work_is_returned boolean not null default false,

    constraint executors_pkey primary key (executor_id),
    constraint executors_lease_is_positive check (lease_duration > interval '0'),
    constraint executors_session_has_time check ((session_pid is null) = (session_at is null)),
    constraint executors_finished_has_reason check ((finished_at is null) = (finish_reason is null)),
    constraint executors_reason_valid check (finish_reason in ('left', 'lease expired', 'session lost', 'replaced'))
) with (fillfactor = 50);

comment on table pyengine.executors is 'Processes that run workflows; a new row for each start of a process.';
comment on column pyengine.executors.name is 'The executor_id of the user''s configuration; several processes may share it.';
comment on column pyengine.executors.functions is 'Keys of the workflow functions that the process has registered.';
comment on column pyengine.executors.channel is 'NOTIFY channel on which the process can be woken.';
comment on column pyengine.executors.session_pid is 'Server process of its listening session; when that is gone the process is probably dead.';
comment on column pyengine.executors.session_lost_at is 'When another process first saw that session_pid is gone.';

comment on column pyengine.executors.work_is_returned is 'True once a finished executor owns no workflow any more.';

-- For: finding the executors that still own work, which are few among many finished ones.
create index executors_active_idx on pyengine.executors (executor_id) where not work_is_returned;
