-- Events: named values that a workflow publishes; the last one counts.
create table pyengine.events (
    workflow_id text collate "C" not null,
    key text collate "C" not null,
    step_id int not null,
    set_at timestamptz not null,
    serialization text not null,
    value json,

    constraint events_pkey primary key (workflow_id, key)
);

comment on table pyengine.events is 'The last value of each event of a workflow.';
comment on column pyengine.events.step_id is 'The step that set it.';

-- Every value that an event had, for forks that begin in the middle.
create table pyengine.event_history (
    workflow_id text collate "C" not null,
    key text collate "C" not null,
    step_id int not null,
    serialization text not null,
    value json,

    constraint event_history_pkey primary key (workflow_id, key, step_id)
);

comment on table pyengine.event_history is 'The value that each step gave an event.';
