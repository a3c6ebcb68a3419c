"""What `pyengine doctor` checks of the connection and the server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

from pyengine.commands.checks import ADVICE, OK, PROBLEM, Connection, Finding, settings
from pyengine.commands.printing import duration

_OLDEST_VERSION = 150000
_LISTEN_SECONDS = 2.0
_SKEW_SECONDS = 1.0
_LONG_TRANSACTION_SECONDS = 600


def check_version(connection: Connection) -> Iterator[Finding]:
    """Which server answered."""
    version = connection.info.server_version
    shown = f"PostgreSQL {version // 10000}.{version % 10000}"
    row = connection.execute(
        "select current_database(), current_user, pg_is_in_recovery()"
    ).fetchone()
    assert row is not None
    database, user, is_replica = row
    where = f"{shown}, database {database}, as {user}"
    if is_replica:
        yield Finding(
            "server", PROBLEM, f"{where}: a replica, which refuses writes; connect to the primary"
        )
    elif version < _OLDEST_VERSION:
        yield Finding("server", PROBLEM, f"{where}: PostgreSQL 15 or newer is needed")
    else:
        yield Finding("server", OK, where)


def check_listen(connection: Connection) -> Iterator[Finding]:
    """Whether a notification arrives, and whether a pooler stands between."""
    ((pid,),) = connection.execute("select pg_backend_pid()").fetchall()
    is_pooled = pid != connection.info.backend_pid
    channel = f"pyengine_doctor_{secrets.token_hex(4)}"
    connection.execute(f"listen {channel}".encode())
    begin = time.monotonic()
    connection.execute("select pg_notify(%s, '')", [channel])
    arrived = any(connection.notifies(timeout=_LISTEN_SECONDS, stop_after=1))
    elapsed = time.monotonic() - begin
    connection.execute("unlisten *")
    pooler = "a pooler is between this and the server, and "
    if not arrived:
        yield Finding(
            "listen",
            PROBLEM,
            f"{pooler if is_pooled else ''}no notification arrived: give programs a direct connection as "
            "listen_database_url, or set use_listen_notify to False, and they poll",
        )
    elif is_pooled:
        yield Finding(
            "listen",
            ADVICE,
            f"{pooler}a notification did arrive; one that shares sessions between transactions loses them: give "
            "programs a direct connection as listen_database_url",
        )
    else:
        yield Finding("listen", OK, f"a notification arrived after {elapsed * 1000:.1f} ms")


def check_clock(connection: Connection) -> Iterator[Finding]:
    """How far the clocks of this machine and of the server are apart."""
    begin = time.time()
    ((server,),) = connection.execute(
        "select extract(epoch from clock_timestamp())::float8"
    ).fetchall()
    end = time.time()
    skew = server - (begin + end) / 2
    error = (end - begin) / 2
    if abs(skew) > _SKEW_SECONDS + error:
        told = f"this machine's clock is {duration(abs(skew))} {'behind' if skew > 0 else 'ahead of'} the server's"
        yield Finding(
            "clock",
            ADVICE,
            f"{told}: the engine only uses the server's, but logs and hand-made times will not match",
        )
    else:
        yield Finding("clock", OK, f"within {max(abs(skew), error) * 1000:.0f} ms of the server's")


def check_settings(connection: Connection) -> Iterator[Finding]:
    """Settings under which acknowledged work could be lost, or that hold things up."""
    found = settings(
        connection, "fsync", "full_page_writes", "synchronous_commit", "autovacuum", "track_counts"
    )
    wrong = []
    for name in ("fsync", "full_page_writes"):
        if found.get(name) == "off":
            wrong.append(name)
            yield Finding(
                name, PROBLEM, f"{name} is off: a crash of the machine can destroy the database"
            )
    if found.get("synchronous_commit") == "off":
        wrong.append("synchronous_commit")
        yield Finding(
            "synchronous_commit",
            PROBLEM,
            "synchronous_commit is off: a crash of the server loses what was acknowledged just before",
        )
    if "off" in (found.get("autovacuum"), found.get("track_counts")):
        wrong.append("autovacuum")
        yield Finding(
            "autovacuum", PROBLEM, "autovacuum is off: tables grow with each change and slow down"
        )
    if not wrong:
        yield Finding(
            "settings", OK, "fsync, full_page_writes, synchronous_commit and autovacuum are on"
        )


def check_transactions(connection: Connection) -> Iterator[Finding]:
    """Old transactions, which keep dead rows from being removed."""
    query = """
        select pid, extract(epoch from clock_timestamp() - xact_start)::float8, state
        from pg_catalog.pg_stat_activity
        where datname = current_database() and backend_type = 'client backend'
            and xact_start < clock_timestamp() - make_interval(secs => %s)
            and pid <> pg_backend_pid()
        order by xact_start limit 3
    """
    rows = connection.execute(query, [_LONG_TRANSACTION_SECONDS]).fetchall()
    for pid, seconds, state in rows:
        yield Finding(
            "transactions",
            ADVICE,
            f"session {pid} ({state}) has had a transaction open for {duration(seconds)}: meanwhile no dead row is "
            f"removed, and claims slow down; end it with select pg_terminate_backend({pid})",
        )
    if not rows:
        yield Finding("transactions", OK, "none is open for more than 10 minutes")
