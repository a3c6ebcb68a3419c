"""What work costs, as the server and the kernel count it: commits, write-ahead log, statements, processor time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

_COUNTERS = """
select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as wal_bytes,
    (select xact_commit + xact_rollback from pg_stat_database where datname = current_database()) as commits
"""


@dataclass
class Costs:
    """Differences between two readings; `statements` is None where pg_stat_statements is missing."""

    wal_bytes: float = 0
    commits: float = 0
    statements: float | None = None
    server_cpu: float = 0

    def per(self, count: float) -> dict[str, float]:
        """The costs of one of `count` operations."""
        costs = {
            "wal_bytes": self.wal_bytes / count,
            "commits": self.commits / count,
            "server_cpu_us": self.server_cpu / count * 1e6,
        }
        if self.statements is not None:
            costs["statements"] = self.statements / count
        return costs


@dataclass
class Meter:
    """Reads the counters of one database and of the server's processes."""

    url: str
    postmaster: int
    counts_statements: bool = field(default=False)

    @contextmanager
    def measure(self) -> Iterator[Costs]:
        """Fill in the costs of the block."""
        costs = Costs()
        before = self._read()
        yield costs
        after = self._read()
        costs.wal_bytes = after["wal_bytes"] - before["wal_bytes"]
        costs.commits = after["commits"] - before["commits"]
        costs.server_cpu = after["cpu"] - before["cpu"]
        if self.counts_statements:
            costs.statements = after["statements"] - before["statements"]

    def _read(self) -> dict[str, float]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("select pg_stat_clear_snapshot()")
            row: Any = connection.execute(_COUNTERS).fetchone()
            found = {"wal_bytes": float(row[0]), "commits": float(row[1])}
            if self.counts_statements:
                query = """
                    select coalesce(sum(calls), 0) from pg_stat_statements(false)
                    where toplevel and dbid = (select oid from pg_database where datname = current_database())
                """
                row = connection.execute(query).fetchone()
                found["statements"] = float(row[0])
        found["cpu"] = server_cpu(self.postmaster)
        return found


def server_cpu(postmaster: int) -> float:
    """Processor seconds of a server: of its living processes and of those that have ended."""
    return sum(_cpu(pid) for pid in [postmaster, *_children(postmaster)]) + _cpu(
        postmaster, of_children=True
    )


def _children(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    return [int(pid) for pid in children.split()]


def _cpu(pid: int, *, of_children: bool = False) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:  # it has ended: its parent's count of children has it
        return 0
    fields = text.rpartition(")")[2].split()
    first = 13 if of_children else 11
    ticks = int(fields[first]) + int(fields[first + 1])
    return ticks / os.sysconf("SC_CLK_TCK")
