"""Everything is cancelled, resumed and forked in bulk while it runs and processes are killed: nothing gets lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from pyengine import DBOSClient
from pyengine.listing import WorkflowFilters
from tests.chaos.program import chain_result
from tests.chaos.rig import Rig, Worker

Session = psycopg.Connection[Any]

QUEUE, CONCURRENCY = "steered", 12
STEPS, VALUE = 3, 5

STORE = b"""
insert into pyengine.workflows (
    workflow_id, status, name, application_name, queue_name, created_at, updated_at, serialization, inputs
)
select k || '-' || n, 'ENQUEUED', 'mixed', 'chaos', 'steered', pyengine.now(), pyengine.now(), 'json',
    '{"positionalArgs":[3,5],"namedArgs":{}}'
from generate_series(1, %s) n, unnest(array['cancelled', 'forked', 'resumed']) k
"""
DEADLOCKS = b"select deadlocks from pg_stat_database where datname = current_database()"
UNFINISHED = b"select count(*) from pyengine.workflows where finished_at is null"


class Fleet:
    """Workers of which one after another is killed and replaced, until it is told to let them live."""

    def __init__(self, rig: Rig, size: int, pause: float) -> None:
        self._rig = rig
        self._pause = pause
        self._workers: list[Worker] = [rig.worker(f"w{n}") for n in range(size)]
        self._peace = threading.Event()
        self._killer = threading.Thread(target=self._kill, daemon=True)
        self.kills = 0
        self._killer.start()

    def let_live(self) -> None:
        """Kill no more."""
        self._peace.set()
        self._killer.join()

    def _kill(self) -> None:
        while not self._peace.wait(self._pause):
            victim = self._workers.pop(0)
            victim.kill()
            self.kills += 1
            self._workers.append(self._rig.worker(victim.options.executor))


def watch(sql: Session) -> None:
    """What must hold at every moment."""
    running = sql.execute(
        "select count(*) from pyengine.workflows where queue_name = %s and status = 'PENDING'",
        [QUEUE],
    ).fetchall()
    assert running[0][0] <= CONCURRENCY
    assert sql.execute("select * from pyengine.verify()").fetchall() == []


def steer(url: str, verb: str) -> list[str]:
    """Do something to a third of the workflows, while the two others happen too."""
    filters: WorkflowFilters = {"workflow_id_prefix": f"{verb}-"}
    with DBOSClient(system_database_url=url, application_name="chaos") as client:
        if verb == "forked":
            return client.fork_matching(filters, 3, to_queue=QUEUE)
        client.cancel_matching(filters)
        if verb == "cancelled":
            return []
        return client.resume_matching(filters, to_queue=QUEUE)


def calm_down(sql: Session, url: str, patience_seconds: float) -> None:
    """Resume what is cancelled, and wait until everything has ended."""
    with DBOSClient(system_database_url=url, application_name="chaos") as client:
        client.resume_matching({"status": "CANCELLED"}, to_queue=QUEUE)
    deadline = time.monotonic() + patience_seconds
    while sql.execute(UNFINISHED).fetchall() != [(0,)]:
        watch(sql)
        assert time.monotonic() < deadline, "some are stuck"
        time.sleep(0.2)


@pytest.mark.race
@pytest.mark.parametrize(
    ("number", "pause"),
    [(60, 0.5), pytest.param(3334, 3.0, marks=[pytest.mark.slow, pytest.mark.chaos])],
)
def test_nothing_is_lost_doubled_or_stuck(
    rig: Rig, business: Session, engine_url: str, number: int, pause: float
) -> None:
    sql = business
    sql.execute(
        "select pyengine.register_queue(%s, application_name => 'chaos', concurrency => %s)",
        [QUEUE, CONCURRENCY],
    )
    sql.execute(STORE, [number])
    deadlocks = sql.execute(DEADLOCKS).fetchall()
    fleet = Fleet(rig, 2, pause)

    with ThreadPoolExecutor(3) as threads:
        done: list[Future[list[str]]] = [
            threads.submit(steer, engine_url, verb) for verb in ("cancelled", "resumed", "forked")
        ]
        while not all(each.done() for each in done):
            watch(sql)
            time.sleep(0.1)
    forks = done[2].result()
    while not fleet.kills:
        time.sleep(0.05)
    fleet.let_live()
    calm_down(sql, engine_url, patience_seconds=60 + number / 5)

    assert len(set(forks)) == number
    result = str(chain_result(STEPS, VALUE))
    outcomes = sql.execute(
        "select status, output::text, count(*) from pyengine.workflows group by 1, 2"
    ).fetchall()
    assert outcomes == [("SUCCESS", result, 4 * number)]
    doubled = sql.execute(
        "select workflow_id, step from public.business group by 1, 2 having count(*) > 1"
    ).fetchall()
    assert doubled == []
    originals = (
        "select count(*) from public.business where workflow_id ~ '^(cancelled|forked|resumed)-'"
    )
    assert sql.execute(originals).fetchall() == [(3 * number,)]
    assert sql.execute("select * from pyengine.verify(deep => true)").fetchall() == []
    assert sql.execute(DEADLOCKS).fetchall() == deadlocks
