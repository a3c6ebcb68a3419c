"""Reads what every transaction did to the audited tables, in commit order, from the write-ahead log.

The plugin is `pgoutput`, which every server has; `replica identity full` gives the rows as they were before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg

TABLES = (
    "workflows", "steps", "messages", "streams", "executors", "queues", "queue_starts", "hibernations",
)  # fmt: skip
_EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)
_BATCH = 20_000

Row = list[str | None]


@dataclass(frozen=True)
class Change:
    """One row of one transaction; `lsn` is that of its commit."""

    lsn: int
    xid: int
    committed_at: datetime
    table: str
    columns: tuple[str, ...]
    old: Row | None
    new: Row | None

    def differs_beside(self, *ignored: str) -> bool:
        """Whether anything but these columns has changed."""
        if self.old is None or self.new is None:
            return True
        triples = zip(self.columns, self.old, self.new, strict=True)
        return any(old != new for name, old, new in triples if name not in ignored)


def open_slot(connection: psycopg.Connection[Any]) -> None:
    """From here on nothing that is committed is missed."""
    connection.execute("select pg_create_logical_replication_slot('audit', 'pgoutput')")


def publish(
    connection: psycopg.Connection[Any], schema: str = "pyengine", names: Sequence[str] = TABLES
) -> None:
    """Say which tables are audited."""
    tables = [f"{schema}.{name}" for name in names]
    for table in tables:
        connection.execute(f"alter table {table} replica identity full".encode())
    connection.execute(f"create publication audit for table {', '.join(tables)}".encode())


def batches(connection: psycopg.Connection[Any]) -> Iterator[list[Change]]:
    """Take what was committed since the last call, whole transactions at a time.

    After a crash of the server changes may come again: the position of the commit tells.
    """
    query = """select data from pg_logical_slot_get_binary_changes(
        'audit', null, %s, 'proto_version', '1', 'publication_names', 'audit')"""
    while True:
        decoder = _Decoder()
        rows = connection.cursor(binary=True).execute(query, [_BATCH]).fetchall()
        yield [change for (data,) in rows for change in decoder.feed(bytes(data))]
        if len(rows) < _BATCH:
            return


class _Decoder:
    """The messages of the protocol, version 1, as far as they tell of rows."""

    def __init__(self) -> None:
        self._tables: dict[int, tuple[str, tuple[str, ...]]] = {}
        self._transaction = (0, 0, _EPOCH)

    def feed(self, data: bytes) -> Iterator[Change]:
        kind = data[:1]
        if kind == b"B":
            lsn, micros, xid = struct.unpack_from("!QqI", data, 1)
            self._transaction = (lsn, xid, _EPOCH + timedelta(microseconds=micros))
        elif kind == b"R":
            (oid,) = struct.unpack_from("!I", data, 1)
            _, table, rest = data[5:].split(b"\0", 2)
            self._tables[oid] = (table.decode(), _columns(rest))
        elif kind in (b"I", b"U", b"D"):
            yield self._change(data)

    def _change(self, data: bytes) -> Change:
        (oid,) = struct.unpack_from("!I", data, 1)
        rows: dict[bytes, Row | None] = {b"O": None, b"N": None}
        at = 5
        while at < len(data):
            which = data[at : at + 1]
            row, at = _row(data, at + 1, rows[b"O"])
            rows[which] = row
        lsn, xid, committed_at = self._transaction
        table, columns = self._tables[oid]
        return Change(lsn, xid, committed_at, table, columns, rows[b"O"], rows[b"N"])


def _columns(data: bytes) -> tuple[str, ...]:
    """The names of a table's columns, behind the replica identity."""
    (count,) = struct.unpack_from("!H", data, 1)
    names, at = [], 3
    for _ in range(count):
        end = data.index(b"\0", at + 1)
        names.append(data[at + 1 : end].decode())
        at = end + 9
    return tuple(names)


def _row(data: bytes, at: int, before: Row | None) -> tuple[Row, int]:
    """A row; what is too large and did not change is not sent again."""
    (count,) = struct.unpack_from("!H", data, at)
    at += 2
    row: Row = []
    for column in range(count):
        kind = data[at : at + 1]
        at += 1
        if kind == b"t":
            (size,) = struct.unpack_from("!I", data, at)
            row.append(data[at + 4 : at + 4 + size].decode())
            at += 4 + size
        else:
            row.append(before[column] if kind == b"u" and before is not None else None)
    return row, at


def literal(row: Row | None) -> str | None:
    """A row as the text form of its composite type."""
    if row is None:
        return None
    return "(" + ",".join(_field(value) for value in row) + ")"


def _field(value: str | None) -> str:
    if value is None:
        return ""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
