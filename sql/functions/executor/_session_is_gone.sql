-- Whether the listening session of an executor has ended while the server ran on. After a restart of the server every
-- session is gone and says nothing about its process: then only the lease decides.
create or replace function pyengine._session_is_gone(session_pid int, session_at timestamptz)
returns boolean
language sql
volatile
as $$
    select session_pid is not null
        and session_at > pg_catalog.pg_postmaster_start_time()
        and not exists (select 1 from pg_catalog.pg_stat_get_activity(session_pid))
$$;

comment on function pyengine._session_is_gone is 'Whether an executor''s session has ended while the server ran on.';
