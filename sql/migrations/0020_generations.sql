-- Generations: a workflow that goes on as new begins again with other inputs and without its history, under its id.
-- Its steps are numbered on, so that what is named after a step (children, checkpoints elsewhere) is never named twice.
alter table pyengine.workflows add column base_step_id int not null default 0;

comment on column pyengine.workflows.base_step_id is 'The last step before the current generation: a run sees and makes only later ones.';

alter type pyengine.claimed_workflow add attribute base_step_id int;
