-- Schedules: which workflow starts at which times. Python turns cron expressions into times some way ahead (upcoming);
-- the database decides when one of them is due, and starts the workflow.
create table pyengine.schedules (
    schedule_name text collate "C" not null,
    schedule_id uuid not null,
    application_name text,
    workflow_name text not null,
    workflow_class_name text,
    schedule text not null,
    cron_timezone text,
    status text not null default 'ACTIVE',
    queue_name text,
    context json,
    serialization text not null,
    second_argument text not null,
    max_attempts int,
    catch_up text not null,
    overlap text not null,
    grace interval not null,

    revision int not null default 1,
    upcoming text[] not null default '{}',
    next_due_at timestamptz,
    planned_until timestamptz not null,
    plan_at timestamptz,
    planner_id bigint,
    error text,
    last_fired_at timestamptz,
    last_missed_at timestamptz,
    ticks_known_from timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,

    constraint schedules_pkey primary key (schedule_name),
    constraint schedules_status_valid check (status in ('ACTIVE', 'PAUSED')),
    constraint schedules_catch_up_valid check (catch_up in ('skip', 'last', 'all')),
    constraint schedules_overlap_valid check (overlap in ('allow', 'skip', 'queue')),
    constraint schedules_serialization_valid check (serialization in ('json', 'portable_json')),
    constraint schedules_second_argument_valid check (second_argument in ('context', 'actual_time')),
    constraint schedules_grace_not_negative check (grace >= interval '0')
) with (fillfactor = 50);

comment on table pyengine.schedules is 'Schedules: which workflow starts at which times.';
comment on column pyengine.schedules.schedule is 'The cron expression: minute hour day month weekday, or with seconds before them.';
comment on column pyengine.schedules.cron_timezone is 'IANA name of the time zone of the expression; null is UTC.';
comment on column pyengine.schedules.context is 'The second argument of the workflow, where second_argument is context.';
comment on column pyengine.schedules.second_argument is 'What the workflow gets after the time of the tick: its context, or the time at which it was started.';
comment on column pyengine.schedules.catch_up is 'What happens to ticks that nobody fired in time: they are skipped, the last one runs, or all run.';
comment on column pyengine.schedules.overlap is 'What happens to a tick while a workflow of the schedule is active: both run, the tick is skipped, or it waits.';
comment on column pyengine.schedules.grace is 'How late a tick may be fired before it counts as missed.';
comment on column pyengine.schedules.revision is 'Raised when the times change, so that no plan for earlier times is stored.';
comment on column pyengine.schedules.upcoming is 'The next ticks in ISO 8601 with the offset of the time zone.';
comment on column pyengine.schedules.next_due_at is 'The first of them; null when there is none or the plan must go on first.';
comment on column pyengine.schedules.planned_until is 'Up to when upcoming is complete; infinity when no tick will come any more.';
comment on column pyengine.schedules.plan_at is 'When its next ticks are to be computed; later than needed while somebody is at it, or after it failed.';
comment on column pyengine.schedules.planner_id is 'The executor that planned it last; it wakes up for its ticks.';
comment on column pyengine.schedules.error is 'Why its ticks can''t be computed.';
comment on column pyengine.schedules.last_missed_at is 'The last tick that is known to be skipped because nobody fired it in time.';
comment on column pyengine.schedules.ticks_known_from is 'Up to here rows of schedule_ticks were removed, so nobody knows what was fired.';

-- For: finding due schedules, and the time of the next tick.
create index schedules_due_idx on pyengine.schedules (next_due_at) where status = 'ACTIVE';

-- For: finding schedules whose next ticks are to be computed.
create index schedules_plan_idx on pyengine.schedules (plan_at) where status = 'ACTIVE';

-- Ticks that were fired: the primary key makes a second start for a tick impossible.
create table pyengine.schedule_ticks (
    schedule_name text collate "C" not null,
    tick_at timestamptz not null,
    fired_at timestamptz not null,
    outcome text not null,
    workflow_id text collate "C",

    constraint schedule_ticks_pkey primary key (schedule_name, tick_at),
    constraint schedule_ticks_outcome_valid check (outcome in ('started', 'overlapped', 'refused'))
);

comment on table pyengine.schedule_ticks is 'Ticks of schedules that were fired.';
comment on column pyengine.schedule_ticks.outcome is 'Started; or not, because a workflow of the schedule was active (overlap), or its queue was full.';

-- For: finding whether a workflow of a schedule is active. Only scheduled workflows have an entry.
create index workflows_scheduled_active_idx on pyengine.workflows (schedule_name)
    where schedule_name is not null and status in ('ENQUEUED', 'DELAYED', 'PENDING');

create type pyengine.scheduled_start as (
    tick text,
    workflow_id text,
    refusal text
);
comment on type pyengine.scheduled_start is 'The workflow that a tick of a schedule started, or the code of the refusal.';

create type pyengine.schedule_plan as (
    schedule_name text,
    revision int,
    schedule text,
    cron_timezone text,
    catch_up text,
    planned_until timestamptz,
    plan_from timestamptz,
    planned_at timestamptz
);
comment on type pyengine.schedule_plan is 'A schedule whose next ticks are to be computed: those after plan_from, at planned_at by the engine''s clock.';

alter type pyengine.tick_result add attribute has_due_schedules boolean;
