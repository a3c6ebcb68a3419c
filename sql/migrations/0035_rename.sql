create type pyengine.renamed_rows as (
    queues bigint,
    schedules bigint,
    versions bigint,
    workflows bigint,
    steps bigint,
    last_workflow_id text
);
comment on type pyengine.renamed_rows is 'How much a call of rename_application gave to the new name (steps are those of the workflows), and the id to go on after; null when that was all.';
