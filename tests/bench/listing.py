"""Lists: how long the newest 100 of a history, or of a backlog, take, by each filter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from tests.bench.figures import Bench, Figure
from tests.management.histories import BACKLOG, HISTORY, lists, newest

_REPETITIONS = 5


def measure_history(bench: Bench) -> Iterator[Figure]:
    """Nearly all have ended."""
    return _measure(bench, HISTORY)


def measure_backlog(bench: Bench) -> Iterator[Figure]:
    """Nearly all wait."""
    return _measure(bench, BACKLOG)


def _measure(bench: Bench, workflows: str) -> Iterator[Figure]:
    """Each filter alone, the best of some: what it costs when the cache has what it needs."""
    bench.session.execute(workflows.replace("ROWS", str(bench.rows)).encode())
    bench.session.execute("vacuum analyze pyengine.workflows")
    slowest = 0.0
    for name, call in lists().items():
        statement = newest(call).encode()
        took = min(_seconds(bench, statement) for _ in range(_REPETITIONS))
        slowest = max(slowest, took)
        yield Figure(name, took * 1000, "ms")
    yield Figure("the slowest", slowest * 1000, "ms")


def _seconds(bench: Bench, statement: bytes) -> float:
    began = time.perf_counter()
    bench.session.execute(statement).fetchall()
    return time.perf_counter() - began


WORKLOADS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {
    "listing": measure_history,
    "backlog": measure_backlog,
}
