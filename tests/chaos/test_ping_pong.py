"""Two workflows send numbers to and fro: none is lost, doubled or overtaken, whatever happens meanwhile."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

from tests.chaos.rig import Rig, Worker
from tests.chaos.test_wake_ups import end_listeners
from tests.fix_server import PrivateServer

Sql = psycopg.Connection[Any]

# How long each number took from the commit of its sending to that of its receipt.
_DELAYS = """
with numbered as (
    select s.*, row_number() over (partition by s.workflow_id, s.name order by s.step_id) as n
    from pyengine.steps s where s.name in ('DBOS.send', 'DBOS.recv')
)
select extract(epoch from t.completed_at - s.completed_at)::float
from numbered s join numbered t on t.n = s.n and t.workflow_id <> s.workflow_id
where s.name = 'DBOS.send' and t.name = 'DBOS.recv'
"""


def begin(ping: Worker, pong: Worker, count: int, burst: int = 1) -> None:
    """Start both."""
    pong.send("start", "pong", "pong", "ping", count)
    pong.expect("started", "pong")
    ping.send("start", "ping", "ping", "pong", count, burst)
    ping.expect("under way", "ping")


def expect_all(worker: Worker, sql: Sql, count: int, timeout: float) -> None:
    """Both end, and have seen every number once and in order; nothing is left."""
    worker.send("result", "ping")
    worker.send("result", "pong")
    numbers = list(range(count))
    assert worker.results(["ping", "pong"], timeout) == {"ping": numbers, "pong": numbers}
    left = "select (select count(*) from pyengine.messages), (select count(*) from pyengine.hibernations)"
    assert sql.execute(left).fetchone() == (0, 0)


def delays(sql: Sql) -> list[float]:
    """How long the messages took, the longest last."""
    return sorted(row[0] for row in sql.execute(_DELAYS).fetchall())


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=pytest.mark.chaos)])
def test_messages_go_to_and_fro_between_two_processes(rig: Rig, business: Sql, count: int) -> None:
    ping, pong = rig.worker("ping"), rig.worker("pong")

    began = time.monotonic()
    begin(ping, pong, count)
    expect_all(ping, business, count, 300)

    took = delays(business)
    print(
        f"{2 * count} messages, {2 * count / (time.monotonic() - began):.0f}/s, "
        f"each after {1000 * took[len(took) // 2]:.1f} ms, p99 {1000 * took[len(took) * 99 // 100]:.1f} ms, "
        f"at most {took[-1]:.2f} s"
    )


@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.chaos)])
def test_without_notifications_a_message_wakes_its_receiver_within_two_seconds(
    rig: Rig, business: Sql, count: int
) -> None:
    config = {"use_listen_notify": False}
    ping, pong = rig.worker("ping", config=config), rig.worker("pong", config=config)

    begin(ping, pong, count)
    expect_all(ping, business, count, 300)

    print(f"{2 * count} messages by looking again, the slowest after {delays(business)[-1]:.2f} s")
    assert delays(business)[-1] < 2.0


def test_workflows_that_hibernate_between_all_messages_lose_none(rig: Rig, business: Sql) -> None:
    config = {"hibernate_after": 0}
    ping, pong = rig.worker("ping", config=config), rig.worker("pong", config=config)

    begin(ping, pong, 40, burst=2)
    expect_all(ping, business, 40, 60)


class Faults:
    """Does something evil at each call, in an order that a seed decides."""

    def __init__(self, rig: Rig, url: str, seed: int) -> None:
        self._rig = rig
        self._url = url
        self._sql = psycopg.connect(url, autocommit=True)
        self._random = random.Random(seed)
        self._names = 0
        self.workers: list[Worker] = []
        self.done: dict[str, int] = {}
        while len(self.workers) < 3:
            self.workers.append(self._worker())

    def close(self) -> None:
        """End the connection."""
        self._sql.close()

    def until(self, received: int, seconds: float) -> None:
        """Faults, until so many messages were received."""
        query = "select count(*) from pyengine.steps where name = 'DBOS.recv'"
        began = time.monotonic()
        while self._sql.execute(query).fetchall()[0][0] < received:
            self.next()
            time.sleep(0.3)
            assert time.monotonic() - began < seconds, self.done

    def restart(self, server: PrivateServer) -> None:
        """The database goes away and comes back."""
        self._sql.close()
        server.restart()
        self._sql = psycopg.connect(self._url, autocommit=True)

    def next(self) -> None:
        """One fault."""
        fault = self._random.choice(
            (self.kill, self.listeners, self.drop, self.drop, self.duplicate, self.forge)
        )
        self.count(fault)
        fault()

    def count(self, fault: Callable[[], None]) -> None:
        """Note that a fault happens."""
        self.done[fault.__name__] = self.done.get(fault.__name__, 0) + 1

    def kill(self) -> None:
        """Kill -9 of a worker, and a new one."""
        victim = self._random.randrange(len(self.workers))
        self.workers[victim].kill()
        self.workers[victim] = self._worker()

    def listeners(self) -> None:
        """The listening sessions of all processes end."""
        end_listeners(self._sql)

    def drop(self) -> None:
        """Who waits is forgotten: the notifications that come now reach nobody."""
        for _ in range(50):
            self._sql.execute("delete from pyengine.waiters")
            time.sleep(0.002)

    def duplicate(self) -> None:
        """Everything that is waited for is notified several times."""
        self._sql.execute(
            "select pg_notify(channel, wait_key::text || repeat(' ', n)), pg_notify(channel, wait_key::text) "
            "from pyengine.waiters, generate_series(0, 2) n"
        )

    def forge(self) -> None:
        """Notifications that nobody should send."""
        self._sql.execute(
            "select pg_notify(channel, forged) from pyengine.executors, "
            "unnest(array['', 'x', '-', 'lease', 'lease x', '99999999999999999999999', 'lease -1', "
            "'lease ' || pyengine.wait_key('result', 'ping'), "
            "'lease ' || pyengine.wait_key('result', 'pong')]) forged where finished_at is null"
        )

    def _worker(self) -> Worker:
        self._names += 1
        return self._rig.worker(f"worker {self._names}", config={"hibernate_after": 0.5})


@pytest.mark.chaos
def test_faults_lose_double_and_reorder_nothing(
    doomed_server: PrivateServer, doomed_rig: Rig
) -> None:
    count = 5000
    began = time.monotonic()
    with closing(Faults(doomed_rig, doomed_server.url(), seed=1)) as faults:
        begin(faults.workers[0], faults.workers[1], count, burst=5)

        faults.until(count, seconds=200)
        faults.restart(doomed_server)
        faults.until(2 * count * 9 // 10, seconds=200)

    with psycopg.connect(doomed_server.url(), autocommit=True) as sql:
        expect_all(faults.workers[2], sql, count, 200)
    print(f"{2 * count} messages in {time.monotonic() - began:.0f} s, with {faults.done}")
    assert min(faults.done.get(fault, 0) for fault in ("kill", "listeners", "drop")) > 0
