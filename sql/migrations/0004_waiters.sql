-- Waiters: who wants to be notified of what. Nobody else is: NOTIFY takes a database-wide lock at commit.
--
-- Unlogged: after a server crash the waiters are gone, and every wait ends by its own re-check.
create unlogged table pyengine.waiters (
    wait_key bigint not null,
    channel text not null,
    expires_at timestamptz not null,

    constraint waiters_pkey primary key (wait_key, channel)
);

comment on table pyengine.waiters is 'Who sleeps until something comes true, and the channel that wakes it.';
comment on column pyengine.waiters.wait_key is '64-bit hash of what is waited for; it is also the payload of the notification.';
