-- From when on an application's ended workflows are among the newest that are kept; null when they are not too many.
create or replace function pyengine._keep_from(policy pyengine.retention_policies)
returns timestamptz
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    if (_keep_from.policy).keep_newest is null then
        return null;
    elsif (_keep_from.policy).keep_newest = 0 then
        return timestamptz 'infinity';
    end if;
    return (
        select w.created_at
        from pyengine.workflows w
        where w.finished_at is not null and coalesce(w.application_name, '') = (_keep_from.policy).application_name
        order by w.created_at desc
        limit 1
        offset (_keep_from.policy).keep_newest - 1
    );
end
$$;

comment on function pyengine._keep_from is 'From when on the ended workflows of an application are among the newest that its policy keeps.';
