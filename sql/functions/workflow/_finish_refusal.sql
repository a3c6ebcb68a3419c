-- What is wrong with an outcome of finish_workflows, as a code; null is nothing.
create or replace function pyengine._finish_refusal(request pyengine.finish_request)
returns text
language sql
stable
as $$
    select case
        when (request).workflow_id is null or (request).lease_token is null then 'PE400'
        when pyengine._is_too_large((request).output) or pyengine._is_too_large((request).error) then 'PE413'
    end
$$;

comment on function pyengine._finish_refusal is 'The code of what is wrong with an outcome, if anything.';
