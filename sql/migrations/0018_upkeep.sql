-- Upkeep: what processes do for the engine beside running workflows, one of them at a time.
create table pyengine.upkeep (
    only_row boolean not null default true,
    history_checked_at timestamptz not null default '-infinity',

    constraint upkeep_pkey primary key (only_row),
    constraint upkeep_has_one_row check (only_row)
);

insert into pyengine.upkeep default values;

comment on table pyengine.upkeep is 'One row, which is locked by the process that does the upkeep.';
comment on column pyengine.upkeep.history_checked_at is 'When it was last looked whether the history is large and nothing limits it.';

-- How long the workflows of an application are kept after their end. A null age is for ever.
create table pyengine.retention_policies (
    application_name text not null,
    success_age interval,
    error_age interval,
    cancelled_age interval,
    dead_letter_age interval,
    keep_newest int,
    next_at timestamptz not null,
    cursor_at timestamptz not null default '-infinity',
    cursor_id text collate "C" not null default '',
    keep_from timestamptz,
    updated_at timestamptz not null,

    constraint retention_policies_pkey primary key (application_name),
    constraint retention_policies_ages_not_negative check (
        success_age >= interval '0' and error_age >= interval '0' and cancelled_age >= interval '0'
        and dead_letter_age >= interval '0' and keep_newest >= 0
    ),
    constraint retention_policies_has_a_limit check (
        num_nonnulls(success_age, error_age, cancelled_age, dead_letter_age, keep_newest) > 0
    )
);

comment on table pyengine.retention_policies is 'How long workflows of an application are kept after their end; without a row for ever.';
comment on column pyengine.retention_policies.application_name is 'The application; empty for workflows that belong to none.';
comment on column pyengine.retention_policies.keep_newest is 'How many of those that have ended are kept, whatever their age allows.';
comment on column pyengine.retention_policies.next_at is 'When the next batch is looked at.';
comment on column pyengine.retention_policies.cursor_at is 'How far the present round through the workflows has come, by created_at and id.';
comment on column pyengine.retention_policies.keep_from is 'In the present round those that were created before this are too many.';

alter type pyengine.tick_result add attribute has_chores boolean, add attribute running_workflows int;

create type pyengine.chores_result as (
    overdue_workflows int,
    pruned_workflows int,
    unlimited_history bigint,
    is_more boolean
);
comment on type pyengine.chores_result is 'What a round of upkeep did: workflows cancelled at their deadline and removed by retention, the size of a large history that nothing limits, and whether there is more to do at once.';

create type pyengine.run_lease as (
    workflow_id text,
    lease_token uuid
);
comment on type pyengine.run_lease is 'A run by its workflow and lease.';
