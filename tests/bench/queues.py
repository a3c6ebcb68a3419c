"""Queues: enqueue, drain, the cost of a claim, the time from enqueue to start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.bench.figures import Bench, Figure, percentile
from tests.queues.arena import Session, call, claim, enqueue, finish, queue, register, request

_GENERATE = """
insert into pyengine.workflows (
    workflow_id, status, name, queue_name, partition_key, created_at, updated_at, finished_at, output,
    application_name, serialization, inputs
)
select 'b-' || lpad(i::text, 12, '0'), %(status)s, %(name)s, %(queue)s,
    case when %(keys)s::int > 0 then 'key ' || i %% %(keys)s::int end, now() - interval '1 day', now(),
    case when %(status)s = 'SUCCESS' then now() end, case when %(status)s = 'SUCCESS' then '1'::json end,
    null, 'json', '{"positionalArgs":[],"namedArgs":{}}'
from generate_series(%(first)s::int, %(last)s::int) i
"""


def generate(
    session: Session,
    first: int,
    last: int,
    *,
    status: str = "ENQUEUED",
    name: str = "f",
    keys: int = 0,
) -> None:
    """Workflows by SQL."""
    values = {"first": first, "last": last, "status": status, "name": name, "keys": keys}
    session.execute(_GENERATE, {**values, "queue": "bench"})
    session.execute("vacuum analyze pyengine.workflows")


@contextmanager
def worker(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs what is claimable; its output ends with its greatest number of threads."""
    command = [sys.executable, "-m", "tests.bench.worker", url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        if process.poll() is None:
            process.communicate()


def measure_enqueue(bench: Bench) -> Iterator[Figure]:
    """One call and commit each, and in batches."""
    queue(bench.session, "bench")
    for size, count in ((1, 2000), (100, 200), (1000, 30)):
        batches = [[request("bench") for _ in range(size)] for _ in range(count)]
        began = time.perf_counter()
        for batch in batches:
            enqueue(bench.session, *batch)
        yield Figure(f"batches of {size}", size * count / (time.perf_counter() - began), "rows/s")


def measure_drain(bench: Bench) -> Iterator[Figure]:
    """Workflows that do nothing, claimed, run and recorded by one process."""
    count = min(20_000, bench.rows)
    for number, name in enumerate(("noop", "noop_async")):
        generate(bench.session, number * count + 1, (number + 1) * count, name=name)
        left = "select count(*) from pyengine.workflows where status in ('ENQUEUED', 'PENDING')"
        queue(bench.session, "bench")
        bench.session.execute("select pyengine.pause_queue('bench')")
        with worker(bench.url) as process:
            began = time.perf_counter()
            bench.session.execute("select pyengine.resume_queue('bench')")
            while call(bench.session, left) != [(0,)]:
                time.sleep(0.05)
            taken = time.perf_counter() - began
            threads = float(process.communicate()[0])
        yield Figure(name, count / taken, "workflows/s")
        yield Figure(f"{name}: threads", threads, "at most")


def measure_claim(bench: Bench) -> Iterator[Figure]:
    """A claim at growing backlogs, without and with a history of finished workflows."""
    for history in (0, bench.rows):
        call(bench.session, "select pyengine.delete_queue('bench')")
        bench.session.execute("truncate pyengine.workflows")
        queue(bench.session, "bench")
        executor_id = register(bench.session)
        if history:
            generate(bench.session, 1, history, status="SUCCESS")
        made = 0
        for backlog in (1000, 10_000, 100_000, 1_000_000):
            if backlog > bench.rows:
                return
            generate(bench.session, history + made + 1, history + backlog)
            made = backlog
            for batch in (1, 100):
                taken = _claims(bench.session, executor_id, batch, 9)
                made -= 9 * batch
                case = f"history {history:,}, backlog {backlog:,}, batch {batch}"
                yield Figure(case, statistics.median(taken) * 1000, "ms")
            made = backlog


def _claims(session: Session, executor_id: int, batch: int, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        leases = claim(session, executor_id, batch)
        taken.append(time.perf_counter() - began)
        assert len(leases) == batch
        finish(session, *leases)
    return taken


def measure_limits(bench: Bench) -> Iterator[Figure]:
    """Claims of 50 and their finishes under each kind of limit, against none."""
    executor_id = register(bench.session)
    count = min(100_000, bench.rows)
    kinds: Mapping[str, dict[str, Any]] = {
        "no limit": {},
        "concurrency 1000": {"concurrency": 1000},
        "rate 1,000,000 a second": {"limiter_limit": 1_000_000, "limiter_period_seconds": 1},
        "1,000 keys, one at a time": {"partition_concurrency": 1},
        "10,000 keys, one at a time": {"partition_concurrency": 1},
    }
    for case, limits in kinds.items():
        bench.session.execute("truncate pyengine.workflows")
        queue(bench.session, "bench", **limits)
        keys = int(case.split()[0].replace(",", "")) if "keys" in case else 0
        generate(bench.session, 1, count, keys=keys)
        taken = _claims(bench.session, executor_id, 50, 60)
        yield Figure(case, 50 / statistics.median(taken), "rows/s")


def measure_latency(bench: Bench) -> Iterator[Figure]:
    """From the call of an enqueue in this process to the first line of the workflow in another, idle one."""
    queue(bench.session, "bench")
    result = "select output::text::float from pyengine.workflows where workflow_id = %s"
    took: list[float] = []
    with worker(bench.url):
        for number in range(300):
            document = request("bench", f"latency-{number}", application_name="bench")
            document.update(name="stamp", inputs={"positionalArgs": [], "namedArgs": {}})
            time.sleep(0.02)
            began = time.monotonic()
            enqueue(bench.session, document)
            while (row := call(bench.session, result, f"latency-{number}")) == [(None,)]:
                time.sleep(0.002)
            took.append((row[0][0] - began) * 1000)
    yield Figure("enqueue to start, p50", percentile(took, 0.5), "ms")
    yield Figure("enqueue to start, p99", percentile(took, 0.99), "ms")


WORKLOADS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {
    "enqueue": measure_enqueue,
    "drain": measure_drain,
    "limits": measure_limits,
    "latency": measure_latency,
    "claim": measure_claim,
}
