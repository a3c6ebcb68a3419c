-- Values of a stream from a position on. When there are none: the end, if the workflow has ended, else nothing, and
-- the channel is registered as waiting, if one is given.
create or replace function pyengine.read_stream(
    workflow_id text,
    key text,
    from_position int default 0,
    read_limit int default 100,
    channel text default null
)
returns setof pyengine.stream_value
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_finished_at timestamptz;
    v_is_known boolean;
begin
    select w.finished_at, true
    into v_finished_at, v_is_known
    from pyengine.workflows w
    where w.workflow_id = read_stream.workflow_id;
    if v_is_known is null then
        raise exception using errcode = 'PE404',
            message = format('there is no workflow %s', read_stream.workflow_id),
            detail = json_build_object('workflow_id', read_stream.workflow_id)::text;
    end if;

    return query
    select s.position, s.is_end, s.serialization, s.value
    from pyengine.streams s
    where s.workflow_id = read_stream.workflow_id and s.key = read_stream.key and s.position >= read_stream.from_position
    order by s.position
    limit read_stream.read_limit;
    if found then
        return;
    elsif v_finished_at is not null then
        return query select null::int, true, null::text, null::json;
    elsif read_stream.channel is not null then
        perform pyengine._await_keys(array[
            pyengine.wait_key('stream', read_stream.workflow_id, read_stream.key),
            pyengine.wait_key('result', read_stream.workflow_id)
        ], read_stream.channel);
    end if;
end
$$;

comment on function pyengine.read_stream is 'Values of a stream from a position on; the end when the workflow has ended and nothing follows; otherwise registers the channel as waiting. Role: client.';
