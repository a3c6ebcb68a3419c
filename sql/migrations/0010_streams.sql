-- Streams: values that a workflow publishes one after another, numbered without gaps.
create table pyengine.streams (
    workflow_id text collate "C" not null,
    key text collate "C" not null,
    position int not null,
    step_id int not null,
    is_end boolean not null,
    serialization text not null,
    value json,

    constraint streams_pkey primary key (workflow_id, key, position),
    constraint streams_position_not_negative check (position >= 0)
);

comment on table pyengine.streams is 'Values of streams in order, from position 0 without gaps.';
comment on column pyengine.streams.is_end is 'True for the mark that closes the stream.';

create type pyengine.stream_value as (
    "position" int,
    is_end boolean,
    serialization text,
    value json
);
comment on type pyengine.stream_value is 'A value of a stream; is_end without a position: the workflow has ended and nothing follows.';

create type pyengine.append_answer as (
    item int,
    refusal text,
    message text
);
comment on type pyengine.append_answer is 'A stream value that was refused, with its code.';
