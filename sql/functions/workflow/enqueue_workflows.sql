-- Enqueue workflows, all or none: as start_workflows, but the first refusal is raised and nothing is stored. The fields of
-- `common` hold for each request that does not give them.
-- Locks: as start_workflows.
create or replace function pyengine.enqueue_workflows(requests json, common json default null)
returns setof pyengine.start_answer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_answer pyengine.start_answer;
begin
    for v_answer in
        select a.*
        from pyengine.start_workflows(requests => enqueue_workflows.requests, common => enqueue_workflows.common) a
        order by a.item
    loop
        if v_answer.refusal is not null then
            raise exception using errcode = v_answer.refusal,
                message = format('request %s of %s: %s; nothing was enqueued', v_answer.item,
                    json_array_length(enqueue_workflows.requests), v_answer.message),
                detail = json_build_object('item', v_answer.item, 'holder_id', v_answer.holder_id)::text;
        end if;
        return next v_answer;
    end loop;
end
$$;

comment on function pyengine.enqueue_workflows is 'Enqueues a json array of workflows, all or none, with the fields that they have in common given once or in each; answers for those whose id exists already, as start_workflows. Role: client.';
