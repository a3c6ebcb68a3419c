-- Steps: the checkpoints of workflows, insert-only.
--
-- The primary key is the real guard of exactly-once: a second writer of a step gets the first outcome.
create table pyengine.steps (
    workflow_id text collate "C" not null,
    step_id int not null,
    name text not null,
    attempt int not null,
    child_workflow_id text collate "C",
    started_at timestamptz not null,
    completed_at timestamptz not null,
    serialization text not null,
    output json,
    error json,

    constraint steps_pkey primary key (workflow_id, step_id),
    constraint steps_id_is_positive check (step_id > 0)
);

comment on table pyengine.steps is 'Checkpoints: the recorded outcome of each step of a workflow. Insert-only.';
comment on column pyengine.steps.step_id is 'Number of the step inside its workflow, from 1, in call order; gaps are allowed.';
comment on column pyengine.steps.attempt is 'The run (workflows.attempt_count) that recorded it.';
comment on column pyengine.steps.child_workflow_id is 'The workflow that this step started, if it started one.';
