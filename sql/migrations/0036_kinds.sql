-- pyengine: concurrently
-- What lists need, once more: any single filter finds its newest 100 among a million without reading them all, also when
-- what it looks for is many and all of it old, or too few and too scattered for a walk by age.
--
-- Workflows that ended come in few kinds: so many functions and queues, so many executors and versions. An index that
-- begins with the hash of a kind is read kind by kind, in order of age in each, so one entry serves the filters of
-- all of its columns. It is written once, at the end of a workflow (66 bytes), not with each of its versions.

-- For: what has not ended, and what has, by age. Together they cost what one index on all workflows did.
drop index pyengine.workflows_created_idx;
create index workflows_open_idx on pyengine.workflows (created_at) where finished_at is null;
create index workflows_ended_idx on pyengine.workflows (created_at) where finished_at is not null;

-- For: the ended workflows of a function, of a queue, of a status, children, forks, by age.
create index workflows_ended_kind_idx on pyengine.workflows (
    hashtextextended(name, hashtextextended(coalesce(queue_name, ''), hashtextextended(status,
        (parent_workflow_id is not null)::int + 2 * (forked_from is not null)::int + 4 * was_forked_from::int))),
    created_at
) where finished_at is not null;
-- For: the ended workflows of an executor, of a version, of an application, by age.
create index workflows_ended_origin_idx on pyengine.workflows (
    hashtextextended(coalesce(executor_name, ''), hashtextextended(coalesce(application_version, ''),
        hashtextextended(coalesce(application_name, ''), 0))),
    created_at
) where finished_at is not null;
-- For: the ended workflows with the same attributes, by age.
create index workflows_ended_attributes_idx on pyengine.workflows (jsonb_hash_extended(attributes, 0), created_at)
    where finished_at is not null and attributes is not null;

-- For: the forks of a workflow, by age.
drop index pyengine.workflows_forked_from_idx;
create index workflows_forked_from_idx on pyengine.workflows (forked_from, created_at) where forked_from is not null;

-- Kinds have the ended workflows by status.
drop index pyengine.workflows_failed_idx;

-- For: what few open workflows have. Where many have ended, their kinds are quicker, so it is kept away from those.
drop index pyengine.workflows_names_idx;
create index workflows_names_idx on pyengine.workflows using brin (
    name text_bloom_ops (n_distinct_per_range = 64, false_positive_rate = 0.02),
    queue_name text_bloom_ops (n_distinct_per_range = 64, false_positive_rate = 0.02),
    executor_name text_bloom_ops (n_distinct_per_range = 64, false_positive_rate = 0.02),
    application_version text_bloom_ops (n_distinct_per_range = 64, false_positive_rate = 0.02),
    application_name text_bloom_ops (n_distinct_per_range = 16, false_positive_rate = 0.02)
) with (pages_per_range = 8, autosummarize = on) where finished_at is null;
