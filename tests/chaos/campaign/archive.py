"""The second server: the history of the first one, what the journal says, and the final tables, side by side."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

import psycopg

from pyengine import schema
from tests.chaos.campaign import wal
from tests.chaos.campaign.journal import Journal
from tests.chaos.campaign.node import Node
from tests.queues import history

_TABLES = """
create table audit.transactions (xid xid8 primary key, c bigint not null, committed_at timestamptz not null);
create table audit.steps (n bigint, c bigint, old pyengine.steps, new pyengine.steps);
create table audit.messages (n bigint, c bigint, old pyengine.messages, new pyengine.messages);
create table audit.streams (n bigint, c bigint, old pyengine.streams, new pyengine.streams);
create table audit.executors (n bigint, c bigint, old pyengine.executors, new pyengine.executors);
create table audit.hibernations (n bigint, c bigint, old pyengine.hibernations, new pyengine.hibernations);
create table public.business (workflow_id text, step text, value text);

create schema led;
create table led.effect (workflow_id text, step text, value text, at timestamptz, pid int);
create table led.seen (workflow_id text, step text, value text, at timestamptz, pid int);
create table led.op (kind text, workflow_id text, queue text, outcome text, value text, sent_at timestamptz,
    at timestamptz);
create table led.refused (write text, at timestamptz, pid int);
create table led.fault (fault text, at timestamptz);
"""
FINAL = (
    "pyengine.workflows", "pyengine.steps", "pyengine.messages", "pyengine.message_keys", "pyengine.streams",
    "pyengine.events", "pyengine.event_history", "pyengine.executors", "pyengine.queues",
    "pyengine.hibernations", "public.business",
)  # fmt: skip
_COMMITS = "select xid, committed_at, c from audit.transactions"
Session = psycopg.Connection[Any]
Reader = Callable[[Session], Iterable[list[wal.Change]]]


class Archive:
    """The database of the checker; `read` is how it gets what a source has committed."""

    def __init__(self, url: str, read: Reader = wal.batches) -> None:
        self.read = read
        self.session: Session = psycopg.connect(url, autocommit=True)
        self._seen = 0
        self._rows = 0
        self._commits = 0
        schema.migrate(self.session)
        history.make_tables(self.session)
        self.session.execute(_TABLES)

    def take(self, source: Session, before: int | None = None) -> None:
        """Take over what the source has committed since the last call; nothing from position `before` on."""
        for batch in self.read(source):
            rows: dict[str, list[tuple[Any, ...]]] = {}
            known = self._seen
            for change in batch:
                if change.lsn <= known or (before is not None and change.lsn >= before):
                    continue
                if change.lsn != self._seen:
                    self._seen = change.lsn
                    self._commits += 1
                    moment = (change.xid, self._commits, change.committed_at)
                    rows.setdefault("transactions", []).append(moment)
                self._rows += 1
                self._note(change, rows)
            for table, lines in rows.items():
                self._copy(f"audit.{table}", lines)

    def _note(self, change: wal.Change, rows: dict[str, list[tuple[Any, ...]]]) -> None:
        old, new = wal.literal(change.old), wal.literal(change.new)
        moment = change.committed_at
        line: tuple[Any, ...]
        if change.table == "workflows":
            line = (self._rows, change.xid, moment, moment, old, new)
            rows.setdefault("history(n, xid, began, at, old, new)", []).append(line)
        elif change.table == "queues":
            if change.differs_beside(
                "claim_count", "counted_from", "last_started_at", "partition_cursor"
            ):
                line = (self._rows, change.xid, new)
                rows.setdefault("queues(n, xid, queue)", []).append(line)
        elif change.table == "queue_starts":
            op = "INSERT" if old is None else "DELETE" if new is None else "UPDATE"
            line = (change.xid, moment, op, new or old)
            rows.setdefault("starts(xid, at, op, start)", []).append(line)
        else:
            rows.setdefault(change.table, []).append((self._rows, self._commits, old, new))

    def _copy(self, table: str, lines: list[tuple[Any, ...]]) -> None:
        with self.session.cursor() as cursor, cursor.copy(f"copy {table} from stdin") as copy:
            for line in lines:
                copy.write_row(line)

    def take_journal(self, journal: Journal) -> None:
        """Take over what workers and clients noted."""
        columns = {
            "effect": ("workflow_id", "step", "value", "at", "pid"),
            "seen": ("workflow_id", "step", "value", "at", "pid"),
            "op": ("op", "workflow_id", "queue", "outcome", "value", "sent_at", "at"),
            "refused": ("write", "at", "pid"),
            "fault": ("fault", "at"),
        }
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for facts in journal.read():
            names = columns.get(facts["kind"])
            if names is not None:
                line = tuple(_value(name, facts.get(name)) for name in names)
                rows.setdefault(facts["kind"], []).append(line)
        for kind, lines in rows.items():
            self._copy(f"led.{kind}", lines)

    def take_final(self, source: Session) -> None:
        """Take over the tables as they are in the end."""
        for table in FINAL:
            self.session.execute(f"truncate {table}".encode())
            out_text, in_text = f"copy {table} to stdout", f"copy {table} from stdin"
            with (
                source.cursor().copy(out_text) as out,
                self.session.cursor().copy(in_text) as into,
            ):
                for block in out:
                    into.write(block)

    def forget(self) -> None:
        """Empty it."""
        history.forget(self.session)
        names = ("transactions", "steps", "messages", "streams", "executors", "hibernations")
        tables = [f"audit.{name}" for name in names]
        tables += [f"led.{name}" for name in ("effect", "seen", "op", "refused", "fault")]
        self.session.execute(f"truncate {', '.join(tables)}".encode())

    def violations(self, checks: dict[str, str]) -> dict[str, list[Any]]:
        """What is wrong, by check: those of queues, and these."""
        found = history.violations(self.session, _COMMITS)
        self.session.execute("create index if not exists log_id on audit.log (id, n)")
        self.session.execute(
            "create index if not exists steps_id on audit.steps (((new).workflow_id))"
        )
        tables = (
            "audit.log, audit.steps, audit.messages, audit.executors, led.effect, led.seen, led.op"
        )
        self.session.execute(f"analyze {tables}, pyengine.workflows, pyengine.steps".encode())
        for name, check in checks.items():
            rows = self.session.execute(f"{check} limit 20".encode()).fetchall()
            if rows:
                found[name] = rows
        return found

    def count(self, query: str) -> int:
        """The number that a query returns."""
        return int(self.session.execute(query.encode()).fetchall()[0][0] or 0)

    def close(self) -> None:
        self.session.close()


def _value(name: str, value: Any) -> Any:
    if name in ("at", "sent_at") and value is not None:
        return datetime.fromtimestamp(value, tz=timezone.utc)
    return json.dumps(value) if name == "value" and not isinstance(value, str) else value


class Drain:
    """A thread that takes the history over while the campaign runs; `lock` holds it up."""

    def __init__(
        self,
        archive: Archive,
        node: Callable[[], Node],
        connect: Callable[[Node], Session],
        lock: threading.Lock,
    ) -> None:
        self._archive = archive
        self._node = node
        self._connect = connect
        self._lock = lock
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            try:
                with self._lock, self._connect(self._node()) as source:
                    self._archive.take(source)
            except (
                psycopg.OperationalError
            ):  # the server is away; the slot keeps what is not yet taken
                continue
            except BaseException as error:
                self._failure = error
                return

    def stop(self) -> None:
        """End it, after what it is doing."""
        self._stop.set()
        self._thread.join(60)
        if self._failure is not None:
            raise self._failure
