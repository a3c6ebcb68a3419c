-- A checkpoint names the workflow that it belongs to by more than its id, which may be used again once the workflow was
-- removed: the new workflow must not take an old checkpoint for its own, and skip what it has not done.
alter table pyengine.transaction_checkpoints
    add column origin text not null default '',
    drop constraint transaction_checkpoints_pkey,
    add constraint transaction_checkpoints_pkey primary key (workflow_id, step_id, origin);
alter table pyengine.transaction_checkpoints alter column origin drop default;

comment on column pyengine.transaction_checkpoints.origin is 'Whose it is: when the workflow was created, by the engine''s clock, or for what was copied to a fork its original.';

-- Checkpoints outlive their workflows, which the engine removes in its own database. Now and then a process looks which
-- are left over, in batches; here is how far it has come.
create table pyengine.checkpoint_upkeep (
    only_row boolean not null default true,
    next_at timestamptz not null default '-infinity',
    cursor_id text collate "C" not null default '',

    constraint checkpoint_upkeep_pkey primary key (only_row),
    constraint checkpoint_upkeep_has_one_row check (only_row)
);

insert into pyengine.checkpoint_upkeep default values;

comment on table pyengine.checkpoint_upkeep is 'One row, which is locked by the process that removes checkpoints of workflows that are gone.';
