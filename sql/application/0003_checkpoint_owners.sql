-- Several engines may share an application's database. Each has its own checkpoints there, and looks after no others:
-- what its own database does not know may well be known to another.
alter table pyengine.transaction_checkpoints
    add column owner text not null default '',
    drop constraint transaction_checkpoints_pkey,
    add constraint transaction_checkpoints_pkey primary key (workflow_id, step_id, origin, owner);
alter table pyengine.transaction_checkpoints alter column owner drop default;

comment on column pyengine.transaction_checkpoints.owner is 'The engine_id of the engine that has the workflow; empty for what was stored before there were owners, which is never removed as left over.';

delete from pyengine.checkpoint_upkeep;
alter table pyengine.checkpoint_upkeep
    drop column only_row,
    add column owner text not null,
    add constraint checkpoint_upkeep_pkey primary key (owner);

comment on table pyengine.checkpoint_upkeep is 'One row for each engine, which is locked by the process that removes its checkpoints of workflows that are gone.';
