-- Refuse ticks that are not times in ISO 8601 with an offset: workflow ids are made of them as they are.
create or replace function pyengine._check_ticks(ticks text[])
returns void
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (
        select 1 from unnest(_check_ticks.ticks) t (tick)
        where t.tick is null
            or t.tick !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d:\d\d(:\d\d)?$'
    ) then
        raise exception using errcode = 'PE400',
            message = 'ticks must be times in ISO 8601 with an offset, such as 2026-01-31T02:00:00+01:00';
    end if;
end
$$;

comment on function pyengine._check_ticks is 'Raises PE400 for ticks that are not times with an offset.';
