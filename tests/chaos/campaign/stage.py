"""Where a campaign takes place: the cluster under test, what watches it, and who works on it."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from pyengine import schema
from tests.chaos.campaign import wal
from tests.chaos.campaign.archive import Archive, Drain
from tests.chaos.campaign.clients import Clients
from tests.chaos.campaign.deadlocks import Deadlocks
from tests.chaos.campaign.fleet import Fleet
from tests.chaos.campaign.journal import Journal
from tests.chaos.campaign.node import Node
from tests.chaos.campaign.worker import Launch
from tests.chaos.proxy import Proxy

if TYPE_CHECKING:
    from tests.chaos.campaign.faults import Campaign

BUSINESS = "create table public.business (workflow_id text, step text, value text)"


def admin(node: Node) -> psycopg.Connection[Any]:
    """A session that no timeout of a campaign ends."""
    options = "-c statement_timeout=0 -c lock_timeout=0 -c default_transaction_read_only=off"
    return psycopg.connect(node.url(), autocommit=True, options=options)


class Stage:
    """All of it; as a block, gone afterwards."""

    def __init__(self, campaign: Campaign, seed: int, directory: Path) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.directory = directory
        self.journal = Journal(directory / "journal")
        self.deadlocks = Deadlocks()
        self._campaign = campaign
        self._end = ExitStack()

    def __enter__(self) -> Stage:
        try:
            self._build()
        except BaseException:
            self._end.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def _build(self) -> None:
        self.directory.chmod(0o711)
        self.keeper = Node(
            self.directory / "archive", {"fsync": "off", "max_wal_size": "1GB"}
        ).create()
        self._end.callback(self.keeper.kill)
        self.archive = Archive(self.keeper.url())
        self._end.callback(self.archive.close)
        self.node = Node(self.directory / "one", self._campaign.settings).create()
        self._end.callback(self.node.kill)
        with admin(self.node) as session:
            schema.migrate(session)
            session.execute(BUSINESS)
            wal.publish(session)
            wal.open_slot(session)
        self.proxy = self._end.enter_context(Proxy(self.node.url()))
        self._campaign.prepare(self)
        self.drain_lock = threading.Lock()
        self._drain = Drain(self.archive, lambda: self.node, admin, self.drain_lock)

    def begin(self) -> None:
        """Let workers and clients loose."""
        self.fleet = Fleet(self._launch, self._campaign.workers, self.journal, self.rng)
        self._end.callback(self.fleet.close)
        self.clients = Clients(
            lambda: self._campaign.client_url(self), self.journal, self.seed,
            backlog=self._campaign.backlog, request=self._campaign.request,
        )  # fmt: skip

    def _launch(self, executor: str, place: int) -> Launch:
        return Launch(
            url=self._campaign.worker_url(self, place),
            journal=self.journal.path,
            executor=executor,
            clock=self._campaign.clock(place),
            config=self._campaign.config,
        )

    def settle(self, patience: float) -> float:
        """Faults are over: how long it takes until all work is done, at most so many seconds."""
        began = time.monotonic()
        query = "select count(*) from pyengine.workflows where finished_at is null"
        with admin(self.node) as session:
            while time.monotonic() - began < patience:
                if session.execute(query).fetchall() == [(0,)]:
                    break
                self.fleet.replace_dead()
                time.sleep(0.1)
            else:
                self.fleet.show()
        return time.monotonic() - began

    def gather(self) -> list[Any]:
        """Take over all that is to be checked; what the engine's own self-check finds."""
        self.fleet.close()
        self._drain.stop()
        self.deadlocks.read([self.node.log])
        with admin(self.node) as session:
            self.archive.take(session)
            self.archive.take_journal(self.journal)
            self.archive.take_final(session)
            return session.execute("select * from pyengine.verify(deep => true)").fetchall()

    def failover(self, remove: Callable[[Path], None] = shutil.rmtree) -> float:
        """Kill the primary and let its standby take over; returns for how long nobody could write."""
        old, new = self.node, self.standby
        with self.drain_lock:
            old.kill()
            began = time.monotonic()
            new.promote()
            with admin(new) as session:
                session.execute("alter system reset synchronous_standby_names")
                session.execute("select pg_reload_conf()")
                fork = _fork(session)
                wal.open_slot(session)
            self.node = new
            self.proxy.retarget(new.url())
            gap = time.monotonic() - began
            old.start()
            with admin(old) as session:
                self.archive.take(session, before=fork)
            old.kill()
        self.deadlocks.read([old.log])
        remove(old.directory)
        self.attach_standby()
        return gap

    def attach_standby(self) -> None:
        """Make a synchronous standby of the primary."""
        name = "two" if self.node.directory.name == "one" else "one"
        self.standby = self.node.copy(name)
        self._end.callback(self.standby.kill)
        with admin(self.node) as session:
            session.execute("alter system set synchronous_standby_names = '*'")
            session.execute("select pg_reload_conf()")
            query = "select count(*) from pg_stat_replication where sync_state = 'sync'"
            for _ in range(600):
                if session.execute(query).fetchall() == [(1,)]:
                    return
                time.sleep(0.05)
        raise TimeoutError("the standby did not become synchronous")


def _fork(session: psycopg.Connection[Any]) -> int:
    """The position at which the promoted server left the history of the old one."""
    query = """
        select split_part(last.line, E'\\t', 2)::pg_lsn - '0/0'
        from (select max(name) as name from pg_ls_waldir() where name like '%.history') f
        cross join lateral (
            select line from regexp_split_to_table(pg_read_file('pg_wal/' || f.name), E'\\n') line
            where line ~ '^\\d' order by split_part(line, E'\\t', 1)::int desc limit 1
        ) last"""
    return int(session.execute(query).fetchall()[0][0])
