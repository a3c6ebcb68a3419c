-- Which engine this is, for databases that several engines use.
alter table pyengine.settings add column engine_id uuid not null default gen_random_uuid();
comment on column pyengine.settings.engine_id is 'By which other databases know this engine; a dump takes it along.';
