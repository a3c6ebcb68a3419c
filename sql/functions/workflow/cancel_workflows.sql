-- Cancel workflows that have not succeeded or failed: their runs are refused every further write, their places in
-- queues are free with the commit, and who waits is told. With cancel_children also what they started, directly and
-- through others. Answers with the ids that are cancelled now, by this call or before: who is missing had ended, or
-- does not exist. Locks: the workflow rows (no key update, in id order).
--
-- A run can start a child until it is cancelled, and none afterwards. So after a round the families are looked at
-- once more, for children that were not there before; these few are locked after the others.
create or replace function pyengine.cancel_workflows(workflow_ids text[], cancel_children boolean default false)
returns setof text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_family text[] := cancel_workflows.workflow_ids;
    v_known text[] := '{}'::text[];
begin
    if not cancel_workflows.cancel_children then
        perform pyengine._cancel_workflows(v_family);
    end if;
    while cancel_workflows.cancel_children loop
        v_family := pyengine._with_children(cancel_workflows.workflow_ids);
        exit when v_family <@ v_known;
        perform pyengine._cancel_workflows(array(select f.id from unnest(v_family) f (id) except select unnest(v_known)));
        v_known := v_family;
    end loop;

    return query
    select w.workflow_id::text
    from pyengine.workflows w
    where w.workflow_id = any (v_family) and w.status = 'CANCELLED';
end
$$;

comment on function pyengine.cancel_workflows is 'Cancels those of the workflows (with cancel_children also all that they started) that have not succeeded or failed; returns the ids that are cancelled now. Role: client.';
