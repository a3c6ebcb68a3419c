-- Say how long an application's workflows are kept after their end, by how they ended; null is for ever. keep_newest
-- is how many of them are kept at most, whatever their age. With nothing given everything is kept, as before the
-- first call. Without an application it is about the workflows that belong to none.
create or replace function pyengine.set_retention(
    application_name text,
    success_age interval default null,
    error_age interval default null,
    cancelled_age interval default null,
    dead_letter_age interval default null,
    keep_newest int default null
)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_now timestamptz := pyengine.now();
    v_name text := coalesce(set_retention.application_name, '');
begin
    if least(set_retention.success_age, set_retention.error_age, set_retention.cancelled_age,
            set_retention.dead_letter_age) < interval '0' then
        raise exception using errcode = 'PE400', message = 'an age must not be negative; leave it out to keep for ever';
    elsif set_retention.keep_newest < 0 then
        raise exception using errcode = 'PE400', message = 'keep_newest must not be negative; leave it out for no limit';
    end if;
    if num_nonnulls(set_retention.success_age, set_retention.error_age, set_retention.cancelled_age,
            set_retention.dead_letter_age, set_retention.keep_newest) = 0 then
        delete from pyengine.retention_policies r where r.application_name = v_name;
        return;
    end if;
    insert into pyengine.retention_policies (
        application_name, success_age, error_age, cancelled_age, dead_letter_age, keep_newest, next_at, updated_at
    ) values (
        v_name, set_retention.success_age, set_retention.error_age, set_retention.cancelled_age,
        set_retention.dead_letter_age, set_retention.keep_newest, v_now, v_now
    )
    on conflict on constraint retention_policies_pkey do update
    set success_age = excluded.success_age, error_age = excluded.error_age, cancelled_age = excluded.cancelled_age,
        dead_letter_age = excluded.dead_letter_age, keep_newest = excluded.keep_newest,
        next_at = excluded.next_at, cursor_at = '-infinity', cursor_id = '', updated_at = excluded.updated_at;
end
$$;

comment on function pyengine.set_retention is 'Sets how long and how many of an application''s workflows are kept after their end; nothing given keeps everything. Role: admin.';
