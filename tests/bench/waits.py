"""Waiting workflows: what ten thousand cost a process, and what a million cost the database."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from tests.bench.figures import Bench, Figure, percentile
from tests.queues.arena import Session

# Workflows that hibernate in their sleep, as `sleep` of tests.bench.waiter leaves them.
_ASLEEP = """
insert into pyengine.workflows (workflow_id, status, name, application_name, attempt_count, created_at, updated_at,
    started_at, serialization, inputs)
select 's-' || lpad(i::text, 12, '0'), 'PENDING', 'sleep', 'bench', 1, now(), now(), now(), 'json',
    '{"positionalArgs":[3600.0],"namedArgs":{}}'
from generate_series(%(first)s::int, %(last)s::int) i;
insert into pyengine.steps (workflow_id, step_id, name, attempt, started_at, completed_at, serialization, output)
select 's-' || lpad(d.i::text, 12, '0'), 1, 'DBOS.sleep', 1, now(), d.due_at, 'json',
    to_json(extract(epoch from d.due_at))
from (
    select i, now() + make_interval(secs => %(delay)s::float8 + (i - %(first)s) * %(step)s::float8) as due_at
    from generate_series(%(first)s::int, %(last)s::int) i
) d;
insert into pyengine.hibernations (workflow_id, wait_key, kind, source_id, name, queue_name, due_at)
select s.workflow_id, pyengine.wait_key('time', s.workflow_id), 'time', s.workflow_id, '', '', s.completed_at
from pyengine.steps s
where s.workflow_id between 's-' || lpad(%(first)s::text, 12, '0') and 's-' || lpad(%(last)s::text, 12, '0')
"""


def sleepers(session: Session, first: int, count: int, *, delay: float, step: float) -> None:
    """So many sleeping workflows, the first due after `delay` seconds, each `step` seconds after the last."""
    values = {"first": first, "last": first + count - 1, "delay": delay, "step": step}
    for statement in _ASLEEP.split(";"):
        session.execute(statement, values)


class Cost(NamedTuple):
    """Threads, resident memory, and statements sent in all."""

    threads: int
    megabytes: float
    statements: int


class Waiter:
    """The process of waiting workflows."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, *words: object) -> list[str]:
        """Give it a line, and read its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> list[str]:
        """The next line of its output."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().split()

    def figures(self, word: str) -> Cost:
        """What it costs: `peak` or `now`."""
        threads, megabytes, statements = self.ask(word)
        return Cost(int(threads), float(megabytes), int(statements))


@contextmanager
def waiter(url: str, hibernate_after: float | None = 60.0) -> Iterator[Waiter]:
    """A process that can run the workflows of tests.bench.waiter."""
    after = "never" if hibernate_after is None else str(hibernate_after)
    command = [sys.executable, "-m", "tests.bench.waiter", url, after]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        made = Waiter(process)
        assert made.answer() == ["ready"]
        yield made
        process.communicate()


def wait_for(session: Session, condition: str, seconds: float = 600.0) -> None:
    """Wait until an expression of the database is true."""
    deadline = time.monotonic() + seconds
    while session.execute(f"select {condition}").fetchone() != (True,):
        assert time.monotonic() < deadline, f"never: {condition}"
        time.sleep(0.05)


# How each case waits, and for how long before it hibernates.
_CASES: Mapping[str, tuple[str, float | None]] = {
    "sleep": ("sleep", 60.0),
    "recv": ("recv", 1.0),
    "sleep, async, in memory": ("sleep_async", None),
    "recv, async, in memory": ("recv_async", None),
}


def measure_waiting(bench: Bench) -> Iterator[Figure]:
    """Ten thousand that wait at once in one process."""
    count = min(10_000, bench.rows)
    for case, (name, after) in _CASES.items():
        bench.session.execute("truncate pyengine.workflows, pyengine.steps, pyengine.hibernations")
        with waiter(bench.url, after) as process:
            began = time.monotonic()
            process.ask("start", name, count)
            settled = (
                f"(select count(*) from pyengine.hibernations) = {count}"
                if after is not None
                else f"(select count(*) from pyengine.steps) = {count}"
            )
            wait_for(bench.session, settled)
            yield Figure(f"{case}: to get there", time.monotonic() - began, "s")
            time.sleep(8)
            now, peak = process.figures("now"), process.figures("peak")
            yield Figure(f"{case}: threads", now.threads, "")
            yield Figure(f"{case}: memory", now.megabytes, "MB")
            yield Figure(f"{case}: most threads on the way", peak.threads, "")
            yield Figure(f"{case}: most memory on the way", peak.megabytes, "MB")


def measure_asleep(bench: Bench) -> Iterator[Figure]:
    """A million that sleep: what an idle process asks, and how late those are that become due 1,000 a second."""
    sleepers(bench.session, 1, bench.rows, delay=86_400, step=0.01)
    bench.session.execute(
        "vacuum analyze pyengine.workflows, pyengine.steps, pyengine.hibernations"
    )
    with waiter(bench.url) as process:
        time.sleep(3)
        before, began = process.figures("now").statements, time.monotonic()
        time.sleep(20)
        sent = process.figures("now").statements - before
        yield Figure("statements of an idle process", sent / (time.monotonic() - began), "1/s")
        for per_second in (100, 1000):
            first = bench.rows + per_second * 100 + 1
            yield from _lateness(bench.session, first, per_second * 20, per_second)
        yield Figure("memory of the process", process.figures("peak").megabytes, "MB")


def _lateness(session: Session, first: int, count: int, per_second: int) -> Iterator[Figure]:
    """How late those that are due are resumed and finished, with so many due in a second."""
    session.execute("delete from pyengine.workflows where status = 'SUCCESS'")
    sleepers(session, first, count, delay=5.0, step=1 / per_second)
    wait_for(
        session,
        f"(select count(*) from pyengine.workflows where status = 'SUCCESS') = {count}",
        120.0,
    )
    late = [
        float(row[0])
        for row in session.execute(
            "select extract(epoch from w.finished_at - s.completed_at) from pyengine.workflows w "
            "join pyengine.steps s using (workflow_id) where w.status = 'SUCCESS'"
        )
    ]
    case = f"{per_second} due a second: late"
    yield Figure(f"{case}, earliest", min(late), "s")
    yield Figure(f"{case}, p50", percentile(late, 0.5), "s")
    yield Figure(f"{case}, p99", percentile(late, 0.99), "s")
    yield Figure(f"{case}, most", max(late), "s")


WORKLOADS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {
    "waiting": measure_waiting,
    "asleep": measure_asleep,
}
