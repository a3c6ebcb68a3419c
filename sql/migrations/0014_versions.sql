-- Application versions: every version that a process of an application has run, and which one is the latest.
create table pyengine.application_versions (
    version_name text collate "C" not null,
    version_id uuid not null,
    application_name text not null,
    is_pinned boolean not null,
    version_timestamp timestamptz not null,
    created_at timestamptz not null,

    constraint application_versions_pkey primary key (version_name, application_name)
) with (fillfactor = 50);

comment on table pyengine.application_versions is 'Versions of applications; of an application the one with the highest version_timestamp is the latest.';
comment on column pyengine.application_versions.is_pinned is 'True when the user named the version: then only its processes run its workflows.';
comment on column pyengine.application_versions.version_timestamp is 'When the version was first seen, or was last made the latest.';

-- For: finding the latest version of an application.
create index application_versions_latest_idx
    on pyengine.application_versions (application_name, version_timestamp);
