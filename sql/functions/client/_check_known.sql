-- Refuse an id that no workflow has.
create or replace function pyengine._check_known(workflow_id text)
returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    perform 1 from pyengine.workflows w where w.workflow_id = _check_known.workflow_id;
    if not found then
        raise exception using errcode = 'PE404',
            message = format('there is no workflow %s', _check_known.workflow_id),
            detail = json_build_object('workflow_id', _check_known.workflow_id)::text;
    end if;
end
$$;

comment on function pyengine._check_known is 'Raises PE404 for an unknown workflow.';
