-- A rewind reaches no other database. So it is told here from which steps a workflow was rewound, and the checkpoints of
-- transactional steps there that are older than the last rewind of their step are no longer its own.
alter table pyengine.workflows add column rewound_steps int[];

comment on column pyengine.workflows.rewound_steps is 'The first step of each rewind, in their order: checkpoints in other databases belong to one state of their step.';
