-- What a separate application database holds of the engine: the checkpoints of transactional steps, which are written
-- in the transactions of the steps themselves. A step's row exists exactly if the step's writes do.
create table pyengine.transaction_checkpoints (
    workflow_id text collate "C" not null,
    step_id int not null,
    name text not null,
    serialization text not null,
    output json,
    created_at timestamptz not null default clock_timestamp(),

    constraint transaction_checkpoints_pkey primary key (workflow_id, step_id)
);

comment on table pyengine.transaction_checkpoints is 'Outputs of transactional steps, stored with what the steps wrote. Insert-only.';
