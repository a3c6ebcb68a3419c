-- What is wrong with a document of start_workflows, as a code; null is nothing.
create or replace function pyengine._start_refusal(request pyengine.start_request)
returns text
language sql
stable
as $$
    select case
        when (request).workflow_id is null or pg_catalog.btrim((request).workflow_id) = '' then 'PE400'
        when pg_catalog.octet_length((request).workflow_id) > 512 then 'PE400'
        when pg_catalog.octet_length((request).partition_key) > 512
            or pg_catalog.octet_length((request).deduplication_id) > 512
            or pg_catalog.octet_length((request).queue_name) not between 1 and 255 or (request).priority < 0 then 'PE400'
        when (request).queue_name is null and (request).partition_key is not null then 'PE400'
        when (request).lease_token is not null
            and pg_catalog.num_nonnulls((request).queue_name, (request).deduplication_id) > 0 then 'PE400'
        when (request).name is null or (request).inputs is null or (request).serialization is null
            or (request).name = '' then 'PE400'
        when pg_catalog.octet_length((request).name) > 512 or pg_catalog.octet_length((request).class_name) > 512
            or pg_catalog.octet_length((request).config_name) > 512 then 'PE400'
        -- A time of a hundred years is as good as any longer one, and the calendar can hold it.
        when (request).delay_ms > 3155760000000 or (request).timeout_ms > 3155760000000
            or pg_catalog.abs((request).deadline_epoch_ms) > 9000000000000 or (request).max_attempts < 1 then 'PE400'
        when pyengine._is_too_large((request).inputs) then 'PE413'
        when pg_catalog.octet_length((request).inputs::text) > 1000 and pyengine._is_too_deep((request).inputs) then 'PE413'
        when coalesce((request).authenticated_user, (request).assumed_role, (request).authenticated_roles::text) is not null
            and not pyengine._may_authenticate() then 'PE403'
    end
$$;

comment on function pyengine._start_refusal is 'The code of what is wrong with a start, if anything.';
