-- How many workflows of a queue (or of one of its partitions) were started in the window that ends now.
-- Time never goes back: "now" is not before the last start.
create or replace function pyengine._starts_in_window(
    queue_name text,
    partition_key text,
    period interval,
    last_started_at timestamptz
)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_since timestamptz := greatest(pyengine.now(), _starts_in_window.last_started_at) - _starts_in_window.period;
begin
    return (
        select coalesce(sum(s.start_count), 0)
        from pyengine.queue_starts s
        where s.queue_name = _starts_in_window.queue_name
            and s.partition_key is not distinct from _starts_in_window.partition_key
            and s.started_at > v_since
    );
end
$$;

comment on function pyengine._starts_in_window is 'How many starts a rate limit counts now.';
