-- Give what belongs to an application to another name, up to batch_size workflows at a time: the answer says after which
-- id the next call goes on. With adopt_unclaimed_rows also what belongs to no application, or without an old name only that.
-- Locks: as _rename_declarations, then the workflow rows (no key update, in id order), the bookmarks.
--
-- Runs go on: a lease knows no application. Processes that still have the old name are given no more of its work, and
-- what they start is theirs, so they are stopped first, or the call is repeated afterwards.
create or replace function pyengine.rename_application(
    old_name text,
    new_name text,
    batch_size int default 10000,
    adopt_unclaimed_rows boolean default false,
    after_workflow_id text default null
)
returns pyengine.renamed_rows
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    v_now timestamptz := pyengine.now();
    v_renamed pyengine.renamed_rows;
    v_ids text[];
begin
    if btrim(coalesce(rename_application.new_name, '')) = '' or octet_length(rename_application.new_name) > 512 then
        raise exception using errcode = 'PE400', message = 'new_name must have 1 to 512 bytes and not be blank';
    elsif rename_application.batch_size between 1 and 100000 is not true then
        raise exception using errcode = 'PE400', message = 'batch_size must be between 1 and 100000';
    elsif rename_application.adopt_unclaimed_rows is null then
        raise exception using errcode = 'PE400', message = 'adopt_unclaimed_rows must be true or false';
    elsif coalesce(rename_application.old_name, rename_application.new_name) = rename_application.new_name
        and not rename_application.adopt_unclaimed_rows
    then
        raise exception using errcode = 'PE400',
            message = 'nothing to rename: give another old_name, or adopt_unclaimed_rows';
    end if;

    v_renamed := pyengine._rename_declarations(
        nullif(rename_application.old_name, rename_application.new_name), rename_application.new_name,
        rename_application.adopt_unclaimed_rows);
    v_ids := array(
        select w.workflow_id
        from pyengine.workflows w
        where (rename_application.after_workflow_id is null or w.workflow_id > rename_application.after_workflow_id)
            and (w.application_name = nullif(rename_application.old_name, rename_application.new_name)
                or (w.application_name is null and rename_application.adopt_unclaimed_rows))
        order by w.workflow_id
        limit rename_application.batch_size
        for no key update
    );
    update pyengine.workflows w
    set application_name = rename_application.new_name, updated_at = v_now
    from unnest(v_ids) i (workflow_id)
    where w.workflow_id = i.workflow_id;

    v_renamed.workflows := cardinality(v_ids);
    v_renamed.steps := (select count(*) from pyengine.steps s where s.workflow_id = any (v_ids));
    if cardinality(v_ids) = rename_application.batch_size then
        v_renamed.last_workflow_id := v_ids[cardinality(v_ids)];
    end if;
    perform pyengine._wake_returned(pyengine._work_keys(rename_application.new_name, null));
    return v_renamed;
end
$$;

comment on function pyengine.rename_application is 'Gives queues, schedules, versions and batch_size workflows of an application (and with adopt_unclaimed_rows of none) to another name, and says how many; while last_workflow_id is not null there are more, for a call with it as after_workflow_id. Role: admin.';
