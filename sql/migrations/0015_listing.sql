-- What lists need: any single filter finds its newest 100 among a million without reading them all.
--
-- An index that every workflow is in costs about 240 bytes of WAL for each queued one (an entry at its enqueue, claim
-- and end), so there is none here. What few workflows have is in partial indexes; what ends is entered once, at its
-- end (65 bytes); and the names that many share are in one block range index, which is written to only when a name
-- is new to a range of pages (5 bytes a workflow).

-- For: what failed or was stopped, newest first, by status. Nothing that succeeds is in it.
create index workflows_failed_idx on pyengine.workflows (status, created_at)
    where status in ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
-- For: what ended in a span of time, in lists and in metrics, and what is old enough to be deleted.
create index workflows_finished_idx on pyengine.workflows (finished_at) where finished_at is not null;
-- For: the workflows of a user, newest first.
create index workflows_user_idx on pyengine.workflows (authenticated_user, created_at)
    where authenticated_user is not null;
-- For: the workflows of a schedule, newest first.
create index workflows_schedule_idx on pyengine.workflows (schedule_name, created_at)
    where schedule_name is not null;
-- For: the originals of forks.
create index workflows_was_forked_idx on pyengine.workflows (created_at) where was_forked_from;
-- For: workflows by their attributes.
create index workflows_attributes_idx on pyengine.workflows using gin (attributes jsonb_path_ops)
    where attributes is not null;
-- For: a function, queue, process, version or application that few workflows have; the newest of a common one are found by age.
create index workflows_names_idx on pyengine.workflows using brin (
    name text_bloom_ops (n_distinct_per_range = 64, false_positive_rate = 0.02),
    queue_name text_bloom_ops (n_distinct_per_range = 64, false_positive_rate = 0.02),
    executor_name text_bloom_ops (n_distinct_per_range = 64, false_positive_rate = 0.02),
    application_version text_bloom_ops (n_distinct_per_range = 64, false_positive_rate = 0.02),
    application_name text_bloom_ops (n_distinct_per_range = 16, false_positive_rate = 0.02)
) with (pages_per_range = 8, autosummarize = on);

drop function if exists pyengine.list_workflows(
    text[], text[], text[], text, text[], text[], text[], boolean, timestamptz, timestamptz, timestamptz, timestamptz,
    timestamptz, timestamptz, text[], text[], boolean, text[], boolean, boolean, text[], text[], jsonb, boolean, int, int
);

create type pyengine.ended_kinds as (
    grouped_by text,
    hashes bigint[],
    first_at timestamptz[],
    is_every boolean,
    is_all boolean
);
comment on type pyengine.ended_kinds is 'Kinds of ended workflows that conditions hold for, in the order of their first one by age; whether these are every kind, and whether no other condition is left.';
