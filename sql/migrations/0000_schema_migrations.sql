-- Which migrations this schema has had. The runner reads and locks this table, so it comes first.

create table pyengine.schema_migrations (
    version int not null,
    name text not null,
    sha256 text not null,
    breaking boolean not null,
    functions_sha256 text,
    library_version text not null,
    applied_at timestamptz not null,
    is_complete boolean not null default true,
    constraint schema_migrations_pkey primary key (version),
    constraint schema_migrations_version_not_negative check (version >= 0),
    constraint schema_migrations_sha256_is_hex check (sha256 ~ '^[0-9a-f]{64}$'),
    constraint schema_migrations_functions_sha256_is_hex check (functions_sha256 ~ '^[0-9a-f]{64}$')
);

comment on table pyengine.schema_migrations is
    'One row for each migration applied to this schema. Written only by the installer.';
comment on column pyengine.schema_migrations.sha256 is
    'Hash of the migration''s file as it was applied; a file that differs later is refused.';
comment on column pyengine.schema_migrations.breaking is
    'True when a library that does not know this migration must refuse to work on this schema.';
comment on column pyengine.schema_migrations.functions_sha256 is
    'On the newest row: hash of the functions, views and grants installed on top of it.';
comment on column pyengine.schema_migrations.library_version is
    'The library that applied the migration, or on the newest row that last installed the functions.';
comment on column pyengine.schema_migrations.is_complete is
    'False while indexes of the migration are yet to be built or dropped, beside the work on their tables.';
