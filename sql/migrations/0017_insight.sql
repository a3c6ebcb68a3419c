-- Result types of the functions that tell people what goes on.
create type pyengine.fact as (
    code text,
    sentence text,
    detail json
);
comment on type pyengine.fact is 'A fact about a workflow: a code for programs, a sentence for people, and ids, times and numbers.';

create type pyengine.explanation as (
    workflow_id text,
    status text,
    summary text,
    facts json
);
comment on type pyengine.explanation is 'Why a workflow is where it is: a paragraph, and a json array of its facts {code, sentence, detail}.';

create type pyengine.executor_state as (
    executor_id bigint,
    name text,
    application_name text,
    application_version text,
    version_is_pinned boolean,
    state text,
    host text,
    process_id int,
    started_at timestamptz,
    heartbeat_at timestamptz,
    lease_seconds double precision,
    is_listening boolean,
    finished_at timestamptz,
    functions text[],
    running_count bigint
);
comment on type pyengine.executor_state is 'A process that runs workflows: state is live, silent (its lease is over and its work not given back yet), or why it ended.';
