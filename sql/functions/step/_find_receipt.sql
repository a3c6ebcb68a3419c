-- The outcome of a wait that is recorded already: a repeated call after a lost reply.
create or replace function pyengine._find_receipt(workflow_id text, step_id int)
returns setof pyengine.receipt
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
    return query
    select true, s.serialization, s.output, s.error, 0.0::double precision
    from pyengine.steps s
    where s.workflow_id = _find_receipt.workflow_id and s.step_id = _find_receipt.step_id;
end
$$;

comment on function pyengine._find_receipt is 'The outcome of a durable wait, if it is recorded already.';
