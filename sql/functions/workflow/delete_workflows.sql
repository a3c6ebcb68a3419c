-- Remove workflows whole, whatever their status: a run that is under way is refused every further write. With
-- delete_children also what they started, directly and through others. Answers with the ids that it removed.
-- Locks: the workflow rows (update, in id order).
--
-- As with cancel_workflows, a second look finds the children that were started until the first was over.
create or replace function pyengine.delete_workflows(workflow_ids text[], delete_children boolean default false)
returns setof text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_wanted text[] := delete_workflows.workflow_ids;
    v_known text[] := delete_workflows.workflow_ids;
    v_found text[];
    v_running text[];
    v_queue_names text[];
begin
    if delete_workflows.delete_children then
        v_wanted := pyengine._with_children(v_wanted);
    end if;
    loop
        select coalesce(array_agg(w.workflow_id), '{}'), array_agg(w.workflow_id) filter (where w.status = 'PENDING'),
            array_agg(distinct w.queue_name) filter (where w.queue_name is not null)
        into v_found, v_running, v_queue_names
        from (select distinct u.workflow_id collate "C" as workflow_id from unnest(v_wanted) u (workflow_id) order by 1) i
        cross join lateral (
            select o.workflow_id, o.status, o.queue_name
            from pyengine.workflows o
            where o.workflow_id = i.workflow_id
            for update
        ) w;
        perform pyengine._warn_owners(v_running);
        perform pyengine._delete_workflows(v_found);
        perform pyengine._wake_ended(v_found, v_queue_names);
        return query select f.id from unnest(v_found) f (id);

        exit when not delete_workflows.delete_children;
        v_known := v_known || v_wanted;
        v_wanted := array(select f.id from unnest(pyengine._with_children(v_known)) f (id) except select unnest(v_known));
        exit when v_wanted = '{}';
    end loop;
end
$$;

comment on function pyengine.delete_workflows is 'Removes workflows (with delete_children also all that they started) with everything that belongs to them, whatever their status; returns the ids that it removed. Role: client.';
