"""What happened to queues, by the database's own account, and the rules that held or did not.

Triggers (of the test, not of the engine) write every change of a workflow, a queue and the log of starts into tables
of the schema `audit`, in the transaction that makes it. Changes are put in the order of the commit times that the
server itself keeps (`track_commit_timestamp`).

Why this order proves something: a transaction takes its commit time before its writes become visible to others. So
whatever a claim saw committed has an earlier time, and claims of a limited queue, which exclude each other by the
lock of the queue's row, are in the order in which they happened. Of two commits that did not see each other either
order is true.
"""

from __future__ import annotations

from typing import Any

import psycopg

Session = psycopg.Connection[Any]

_INSTALL = """
create schema audit;

create unlogged table audit.history (
    n bigint generated always as identity,
    xid xid8 not null default pg_current_xact_id(),
    horizon xid8 not null default pg_snapshot_xmax(pg_current_snapshot()),
    began timestamptz not null default now(),
    at timestamptz not null default clock_timestamp(),
    old pyengine.workflows,
    new pyengine.workflows
);
create function audit.note_workflow() returns trigger language plpgsql as $$
begin
    insert into audit.history (old, new) values (old, new);
    return null;
end $$;
create trigger audit after insert or update or delete on pyengine.workflows
    for each row execute function audit.note_workflow();

create unlogged table audit.queues (
    n bigint generated always as identity,
    xid xid8 not null default pg_current_xact_id(),
    queue pyengine.queues
);
create function audit.note_queue() returns trigger language plpgsql as $$
begin
    insert into audit.queues (queue) values (new);
    return null;
end $$;
create trigger audit_new after insert on pyengine.queues for each row execute function audit.note_queue();
create trigger audit_changed after update on pyengine.queues
    for each row when (
        to_jsonb(old) - '{claim_count,last_started_at,partition_cursor}'::text[]
        <> to_jsonb(new) - '{claim_count,last_started_at,partition_cursor}'::text[]
    ) execute function audit.note_queue();

create unlogged table audit.starts (
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null default clock_timestamp(),
    op text not null,
    start pyengine.queue_starts
);
create function audit.note_start() returns trigger language plpgsql as $$
begin
    insert into audit.starts (op, start) values (tg_op, case when tg_op = 'INSERT' then new else old end);
    return null;
end $$;
create trigger audit after insert or update or delete on pyengine.queue_starts
    for each row execute function audit.note_start();

-- What each claim could see when it began, told by the claimer.
create unlogged table audit.claims (lease_token uuid primary key, snapshot pg_snapshot not null);
"""

_DIGEST = """
drop function if exists audit.moment;
drop table if exists audit.commits, audit.log, audit.sides, audit.limits, audit.started, audit.waits;

create unlogged table audit.commits as
    select x.xid, pg_xact_commit_timestamp(x.xid::xid) as committed_at,
        row_number() over (order by pg_xact_commit_timestamp(x.xid::xid), x.xid) as c
    from (select xid from audit.history union select xid from audit.queues union select xid from audit.starts) x;
create unique index on audit.commits (xid);

create unlogged table audit.log as
    select c.c, h.n, h.xid, h.horizon, h.began, h.at, c.committed_at, h.old, h.new,
        coalesce((h.new).workflow_id, (h.old).workflow_id) as id
    from audit.history h join audit.commits c using (xid);

-- Each change leaves one side and enters the other.
create unlogged table audit.sides as
    select l.c, l.n, s.by, (s.row).queue_name as queue, (s.row).partition_key as key, (s.row).is_serial,
        (s.row).executor_id, (s.row).deduplication_id as dedup, (s.row).status
    from audit.log l
    cross join lateral (values (-1, l.old), (1, l.new)) s (by, row)
    where (s.row).workflow_id is not null and (s.row).queue_name is not null;

create unlogged table audit.limits as
    select c.c, q.n, (q.queue).* from audit.queues q join audit.commits c using (xid);
create index on audit.limits (queue_name, c);

create unlogged table audit.started as
    select c.c, (t.start).* from audit.starts t join audit.commits c using (xid) where t.op = 'INSERT';
create index on audit.started (queue_name, partition_key, started_at);
create index on audit.started (c);

-- The times during which a workflow waited in the queue. The index has a place for each queue: `moment` says where.
create function audit.moment(queue text, c bigint) returns bigint language sql immutable as $$
    select (hashtext(queue)::bigint + 2147483648) * 1000000000 + c
$$;
create unlogged table audit.waits as
    select w.*, int8range(
            audit.moment(w.queue, w.c), audit.moment(w.queue, coalesce(w.until_c, 999999999)), '()') as span
    from (
        select l.c, l.id, l.xid, (l.new).status, (l.new).queue_name as queue, (l.new).partition_key as key,
            (l.new).is_serial, (l.new).priority, (l.new).created_at,
            case when (l.new).version_is_pinned then (l.new).application_version end as version,
            lead(l.c) over line as until_c, lead(l.xid) over line as until_xid
        from audit.log l
        window line as (partition by l.id order by l.c, l.n)
    ) w
    where w.status = 'ENQUEUED' and w.c is distinct from w.until_c;
create index on audit.waits using gist (span);
analyze audit.limits, audit.started, audit.waits;
"""

_RUNNING = """
with moves as (
    select s.c, s.queue, {scope} as scope, sum(s.by) as moved
    from audit.sides s
    where s.status = 'PENDING' and {scope} is not null
    group by 1, 2, 3
), counted as (
    select m.*, sum(m.moved) over (partition by m.queue, m.scope order by m.c) as running from moves m
)
select r.queue, r.scope, r.running, l.most, r.c
from counted r
cross join lateral (
    select {limit} as most from audit.limits l
    where l.queue_name = r.queue and l.c <= r.c order by l.c desc, l.n desc limit 1
) l
where r.moved > 0 and r.running > l.most
"""

_IS_PARTITIONED = "num_nonnulls(l.partition_concurrency, l.partition_worker_concurrency, l.partition_limiter_limit) > 0"

_RATE = """
select s.queue_name, s.partition_key, s.started_at, w.started, l.most
from audit.started s
cross join lateral (
    select {limit}_limit as most, {limit}_period as period
    from audit.limits l where l.queue_name = s.queue_name and l.c <= s.c order by l.c desc, l.n desc limit 1
) l
cross join lateral (
    select sum(o.start_count) as started
    from audit.started o
    where o.queue_name = s.queue_name and {same}
        and o.started_at > s.started_at - l.period and o.started_at <= s.started_at
) w
where s.partition_key is {null} and w.started > l.most
"""

# Each check returns what is wrong; none should return a row.
CHECKS = {
    "I-17 concurrency": _RUNNING.format(scope="s.queue", limit="l.concurrency"),
    "I-17 worker concurrency": _RUNNING.format(scope="s.executor_id", limit="l.worker_concurrency"),
    "I-17 partition concurrency": _RUNNING.format(scope="s.key", limit="l.partition_concurrency"),
    "I-17 partition worker concurrency": _RUNNING.format(
        scope="s.key || ' in ' || s.executor_id", limit="l.partition_worker_concurrency"
    ),
    "I-17 serial keys": _RUNNING.format(
        scope="case when s.is_serial then s.key end",
        limit=f"case when not {_IS_PARTITIONED} then 1 end",
    ),
    "I-18 rate": _RATE.format(limit="l.limiter", null="null", same="o.partition_key is null"),
    "I-18 partition rate": _RATE.format(
        limit="l.partition_limiter", null="not null", same="o.partition_key = s.partition_key"
    ),
    "I-18 every start is logged": """
        select s.queue, s.c, s.claimed, t.logged
        from (
            select s.c, s.queue, sum(s.by) as claimed from audit.sides s where s.status = 'PENDING' group by 1, 2
        ) s
        cross join lateral (
            select l.limiter_limit from audit.limits l
            where l.queue_name = s.queue and l.c <= s.c order by l.c desc, l.n desc limit 1
        ) l
        cross join lateral (
            select coalesce(sum(t.start_count), 0) as logged
            from audit.started t
            where t.c = s.c and t.queue_name = s.queue and t.partition_key is null
        ) t
        where l.limiter_limit is not null and s.claimed > t.logged""",
    "I-18 no start is given back": """
        select t.op, t.start
        from audit.starts t
        join pyengine.queues q on q.queue_name = (t.start).queue_name
        where t.op = 'UPDATE' or t.op = 'DELETE'
            and (t.start).started_at > t.at - greatest(q.limiter_period, q.partition_limiter_period)""",
    # x was claimed, though y came before it, could be seen, could be run, was free, and went on waiting. A change of y
    # whose transaction had begun (below the horizon) may have held its row meanwhile: that excuses.
    # Of a great history some 20,000 commits are looked at.
    "I-19/I-20 order": f"""
        select x.id as claimed, y.id as overtaken, (x.new).queue_name, (x.new).partition_key, x.c
        from audit.log x
        join audit.claims s on s.lease_token = (x.new).lease_token
        join pyengine.executors e on e.executor_id = (x.new).executor_id
        cross join lateral (
            select {_IS_PARTITIONED} as is_partitioned from audit.limits l
            where l.queue_name = (x.new).queue_name and l.c <= x.c order by l.c desc, l.n desc limit 1
        ) l
        join audit.waits y on y.span @> audit.moment((x.new).queue_name, x.c) and y.queue = (x.new).queue_name
            and (y.priority, y.created_at, y.id) < ((x.new).priority, (x.new).created_at, x.id)
            and (y.key is not distinct from (x.new).partition_key
                or not l.is_partitioned and not y.is_serial and not (x.new).is_serial)
            and y.is_serial = (x.new).is_serial
            and (y.version is null or y.version = e.application_version)
        where (x.new).status = 'PENDING' and (x.old).status = 'ENQUEUED'
            and x.c % (select count(*) / 20000 + 1 from audit.commits) = 0
            and pg_visible_in_snapshot(y.xid, s.snapshot)
            and (y.until_xid is null or y.until_xid >= x.horizon)""",
    "I-22 one claim at a time": """
        select l.id, l.c from audit.log l
        where (l.old).status = 'PENDING'
            and (l.new).status = 'PENDING' and (l.old).lease_token <> (l.new).lease_token""",
    "I-23 one holder of a deduplication id": """
        select d.queue, d.dedup, d.holders, d.c
        from (
            select s.c, s.queue, s.dedup, sum(sum(s.by)) over (partition by s.queue, s.dedup order by s.c) as holders
            from audit.sides s
            where s.dedup is not null and s.status in ('ENQUEUED', 'DELAYED', 'PENDING')
            group by s.c, s.queue, s.dedup
        ) d
        where d.holders > 1
        union all
        select s.queue, s.dedup, 0, s.c
        from audit.sides s
        where s.by = 1 and s.dedup is not null and s.status not in ('ENQUEUED', 'DELAYED', 'PENDING')""",
    "I-24 not before its time": """
        select l.id, l.at, (l.old).delayed_until
        from audit.log l
        where (l.old).status in ('DELAYED', 'ENQUEUED') and (l.new).status in ('ENQUEUED', 'PENDING')
            and l.at < (l.new).delayed_until""",
    "I-25 versions": """
        select l.id, (l.new).application_version, e.application_version
        from audit.log l
        join pyengine.executors e on e.executor_id = (l.new).executor_id
        where (l.new).status = 'PENDING' and (l.old).status = 'ENQUEUED'
            and (l.new).version_is_pinned and (l.new).application_version <> e.application_version""",
    # What is given back is never refused: an enqueue need not know of what came back while it was under way.
    "I-26 depth": """
        select d.queue, d.depth, l.max_depth, d.c
        from (
            select s.c, s.queue, sum(sum(s.by)) over (partition by s.queue order by s.c) as depth
            from audit.sides s
            where s.status in ('ENQUEUED', 'DELAYED')
            group by s.c, s.queue
        ) d
        cross join lateral (
            select l.max_depth from audit.limits l
            where l.queue_name = d.queue and l.c <= d.c order by l.c desc, l.n desc limit 1
        ) l
        where d.depth > l.max_depth
            and exists (
                select 1 from audit.log h
                where h.c = d.c and h.old is null and (h.new).queue_name = d.queue
                    and d.depth > l.max_depth + (
                        select count(*) from audit.log r
                        where (r.old).status = 'PENDING' and (r.new).status in ('ENQUEUED', 'DELAYED')
                            and (r.new).queue_name = d.queue and r.committed_at >= h.began
                    )
            )""",
}


def install(session: Session) -> None:
    """Begin to record; the server needs track_commit_timestamp."""
    session.execute(_INSTALL)


def forget(session: Session) -> None:
    """Forget what was recorded."""
    session.execute("truncate audit.history, audit.queues, audit.starts, audit.claims")


def violations(session: Session) -> dict[str, list[Any]]:
    """What is wrong with everything that was recorded, by check; empty when nothing is."""
    session.execute(_DIGEST)
    found = {
        name: session.execute(f"{check} limit 20").fetchall() for name, check in CHECKS.items()
    }
    return {name: rows for name, rows in found.items() if rows}


def claim_count(session: Session) -> int:
    """How many claims were recorded."""
    query = """select count(*) from audit.history h
               where (h.new).status = 'PENDING' and (h.old).status is distinct from 'PENDING'"""
    return int(session.execute(query).fetchall()[0][0])
