"""Claims beside a transaction that stays open: for as long as it is, the entries of finished work can't be removed.

One session enqueues, claims and finishes at a steady rate, and once in a while a burst: each claim looks for its work
behind what all the claims before it have left in the index. Another session holds a snapshot. The time of a claim is
told for each minute, against the minutes before the snapshot.
"""

from __future__ import annotations

import itertools
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import psycopg

from tests.bench.figures import Bench, Figure, percentile
from tests.queues.arena import Session, call, enqueue, finish, queue, register, request

T = TypeVar("T")

RATE = 75  # jobs a second
BURST, BURST_BATCH, BURST_SECONDS = 100, 10, 10.0
# A queue without limits, and one whose running workflows are counted at each claim.
QUEUES: Mapping[str, dict[str, int]] = {"free": {}, "limited": {"concurrency": 1000}}
_CLAIM = """select c.workflow_id from pyengine.claim_workflows(
    executor_id => %s, lease_token => %s, claim_limit => %s, queue_names => array[%s], is_repeated => false) c"""
_TICK = "select 1 from pyengine.tick_executor(executor_id => %s)"
_PAGES = re.compile(r"Buffers: shared hit=(\d+)(?: read=(\d+))?")


class Load:
    """The steady work, and how long each kind of call took since it was last asked."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._executor_id = register(session)
        self._names = itertools.cycle(QUEUES)
        self._taken: dict[str, list[float]] = {}
        for name, limits in QUEUES.items():
            queue(session, name, **limits)

    def run(self, seconds: float) -> None:
        """Work for so long; what was late is not made up for."""
        end = time.monotonic() + seconds
        burst = tick = time.monotonic()
        while (began := time.monotonic()) < end:
            name = next(self._names)
            enqueue(self._session, request(name))
            self._claim(f"claim, {name}", name, 1)
            if began >= tick:
                self._time("tick", lambda: call(self._session, _TICK, self._executor_id))
                tick = began + 1
            if began >= burst:
                for each in QUEUES:
                    self._burst(each)
                burst = began + BURST_SECONDS
            time.sleep(max(began + 1 / RATE - time.monotonic(), 0))

    def take(self) -> dict[str, list[float]]:
        """The seconds of each kind of call, once."""
        taken, self._taken = self._taken, {}
        return taken

    def pages(self, name: str) -> int:
        """How many pages a claim reads that finds nothing."""
        plan = call(
            self._session, f"explain (analyze, buffers) {_CLAIM}",
            self._executor_id, str(uuid.uuid4()), 1, name,
        )  # fmt: skip
        found = _PAGES.search("\n".join(line for (line,) in plan))
        return sum(int(count or 0) for count in found.groups()) if found else 0

    def _burst(self, name: str) -> None:
        enqueue(self._session, *(request(name) for _ in range(BURST)))
        for _ in range(BURST // BURST_BATCH):
            self._claim(f"claim of {BURST_BATCH}, {name}", name, BURST_BATCH)

    def _claim(self, kind: str, name: str, count: int) -> None:
        token = str(uuid.uuid4())
        rows = self._time(
            kind, lambda: call(self._session, _CLAIM, self._executor_id, token, count, name)
        )
        assert len(rows) == count
        leases = [(workflow_id, token) for (workflow_id,) in rows]
        self._time("finish", lambda: finish(self._session, *leases))

    def _time(self, kind: str, action: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = action()
        self._taken.setdefault(kind, []).append(time.perf_counter() - began)
        return result


def measure_horizon(bench: Bench) -> Iterator[Figure]:
    """Minutes without the snapshot (a tenth of them all), then `MINUTES` with it."""
    minutes = float(os.environ.get("MINUTES", "5"))
    load = Load(bench.session)
    load.run(3.0)  # plans and caches
    load.take()
    load.run(max(minutes * 6, 10.0))
    before = load.take()
    yield from _figures("before", before, load)
    worst = dict.fromkeys(before, 0.0), dict.fromkeys(before, 0.0)
    with psycopg.connect(bench.url) as other:
        other.execute("set transaction isolation level repeatable read")
        other.execute("select count(*) from pyengine.workflows")
        for minute in range(1, round(max(minutes, 1)) + 1):
            load.run(min(minutes, 1.0) * 60)
            taken = load.take()
            yield from _figures(f"minute {minute}", taken, load)
            for kind, seconds in taken.items():
                for place, share in enumerate((0.5, 0.99)):
                    ratio = percentile(seconds, share) / percentile(before[kind], share)
                    worst[place][kind] = max(worst[place][kind], ratio)
    for kind in before:
        yield Figure(f"worst minute, {kind}: p50", worst[0][kind], "times that before")
        yield Figure(f"worst minute, {kind}: p99", worst[1][kind], "times that before")


def _figures(case: str, taken: Mapping[str, list[float]], load: Load) -> Iterator[Figure]:
    for kind, seconds in taken.items():
        yield Figure(f"{case}, {kind}: p50", percentile(seconds, 0.5) * 1000, "ms")
        yield Figure(f"{case}, {kind}: p99", percentile(seconds, 0.99) * 1000, "ms")
    for name in QUEUES:
        yield Figure(f"{case}, claim, {name}: pages", load.pages(name), "read")


WORKLOADS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {"horizon": measure_horizon}
