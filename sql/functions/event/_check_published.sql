-- Refuse a key or value that can't be published, before anything is stored.
create or replace function pyengine._check_published(what text, workflow_id text, key text, value json)
returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if _check_published.key is null or octet_length(_check_published.key) > 512 then
        raise exception using errcode = 'PE400',
            message = format('the key of an %s must have at most 512 bytes', _check_published.what);
    elsif pyengine._is_too_large(_check_published.value) then
        raise exception using errcode = 'PE413',
            message = format('a value of workflow %s is larger than the limit of %s bytes (max_payload_bytes)',
                _check_published.workflow_id, pyengine._payload_limit()),
            detail = json_build_object('workflow_id', _check_published.workflow_id)::text;
    end if;
end
$$;

comment on function pyengine._check_published is 'Raises PE400 or PE413 for a key or value that can''t be published.';
