-- Workflows and all that they started, directly and through others. A fork's children are its own: those that it shares with its original are the original's.
create or replace function pyengine._with_children(workflow_ids text[])
returns text[]
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return array(
        with recursive family as (
            select i.workflow_id collate "C" as workflow_id
            from unnest(_with_children.workflow_ids) i (workflow_id)
            union
            select c.workflow_id
            from family f
            join pyengine.workflows c on c.parent_workflow_id = f.workflow_id
        )
        select f.workflow_id from family f
    );
end
$$;

comment on function pyengine._with_children is 'The ids of workflows and of all that they started, directly or not.';
