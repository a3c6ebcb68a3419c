-- Settings of the engine that hold for every client: one row.
create table pyengine.settings (
    only_row boolean not null default true,
    max_payload_bytes int not null default 1048576,

    constraint settings_pkey primary key (only_row),
    constraint settings_has_one_row check (only_row),
    constraint settings_max_payload_bytes_valid check (max_payload_bytes between 65536 and 268435456)
);

insert into pyengine.settings default values;

comment on table pyengine.settings is 'Limits of the engine that hold for every client; one row.';
comment on column pyengine.settings.max_payload_bytes is 'Largest input, output, error or step result that is accepted, in bytes.';
