-- Refuse what can't be a channel. One that NOTIFY refuses would make those fail who bring what its owner waits for.
create or replace function pyengine._check_channel(channel text)
returns void
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if octet_length(_check_channel.channel) between 1 and 63 is not true then
        raise exception using errcode = 'PE400', message = 'channel must have 1 to 63 bytes';
    end if;
end
$$;

comment on function pyengine._check_channel is 'Raises PE400 for a text that can''t be a channel.';
