-- Say that a channel waits for these keys. The caller re-checks afterwards: a writer may have looked just before.
create or replace function pyengine._await_keys(wait_keys bigint[], channel text)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    perform pyengine._check_channel(_await_keys.channel);
    insert into pyengine.waiters as x (wait_key, channel, expires_at)
    select k.wait_key, _await_keys.channel, pyengine.now() + interval '1 minute'
    from unnest(_await_keys.wait_keys) k (wait_key)
    order by k.wait_key
    on conflict on constraint waiters_pkey do update set expires_at = excluded.expires_at
    where x.expires_at < pyengine.now() + interval '30 seconds';
end
$$;

comment on function pyengine._await_keys is 'Registers a channel as waiting for keys, for a minute.';
