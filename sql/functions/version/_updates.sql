-- Whether a registration changes what is registered already, so that during a deploy the old version does not undo
-- what the new one says.
create or replace function pyengine._updates(on_conflict text, application_name text, application_version text)
returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_latest pyengine.application_versions;
begin
    if _updates.on_conflict in ('always_update', 'never_update') then
        return _updates.on_conflict = 'always_update';
    elsif _updates.on_conflict is distinct from 'update_if_latest_version' then
        raise exception using errcode = 'PE400', message = format(
            'on_conflict is %s: use always_update, never_update or update_if_latest_version', _updates.on_conflict);
    elsif num_nulls(_updates.application_name, _updates.application_version) > 0 then
        raise exception using errcode = 'PE400',
            message = 'update_if_latest_version needs an application_name and its application_version';
    end if;
    v_latest := pyengine._latest_version(_updates.application_name);
    return v_latest.version_name is null or v_latest.version_name = _updates.application_version;
end
$$;

comment on function pyengine._updates is 'Whether a registration changes what is registered already; raises PE400 for an unknown on_conflict.';
