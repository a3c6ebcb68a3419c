-- What is wrong with a step of record_steps, as a code; null is nothing.
create or replace function pyengine._step_refusal(request pyengine.step_request)
returns text
language sql
stable
as $$
    select case
        when (request).workflow_id is null or (request).lease_token is null or (request).name is null
            or (request).serialization is null or (request).step_id is null or (request).step_id < 1 then 'PE400'
        when pyengine._is_too_large((request).output) or pyengine._is_too_large((request).error) then 'PE413'
    end
$$;

comment on function pyengine._step_refusal is 'The code of what is wrong with a step, if anything.';
