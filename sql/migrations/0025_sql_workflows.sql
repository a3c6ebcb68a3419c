-- Workflows written in SQL: the functions that are their steps, in order, by name: an oid would not survive a dump.
create table pyengine.sql_workflows (
    name text collate "C" not null,
    application_name text,
    steps text[] not null,
    step_owners text[] not null,
    registered_at timestamptz not null,

    constraint sql_workflows_pkey primary key (name),
    constraint sql_workflows_has_steps check (cardinality(steps) between 1 and 100),
    constraint sql_workflows_steps_have_owners check (cardinality(steps) = cardinality(step_owners))
);

comment on table pyengine.sql_workflows is 'Workflows whose steps are functions of this database.';
comment on column pyengine.sql_workflows.step_owners is 'Who owned each function when it was registered: nobody else''s code is run.';

alter table pyengine.executors add column runs_sql_workflows boolean not null default false;

comment on column pyengine.executors.runs_sql_workflows is 'True when the process runs workflows written in SQL, whose names are among its functions.';

create type pyengine.sql_step as (
    step_id int,
    name text,
    is_last boolean,
    statement text,
    input json
);
comment on type pyengine.sql_step is 'The next step of a workflow written in SQL: a statement with one parameter, and its value.';

create type pyengine.sql_claim as (
    workflow_id text,
    lease_token uuid
);
comment on type pyengine.sql_claim is 'A workflow written in SQL that this transaction runs.';
