"""Upgrades under load: for how long a call of the engine waits while the schema is migrated beside it.

The engine is installed as it was some migrations ago, with those functions that it could have then, and filled. Then
another process calls them without a pause while `migrate` applies one migration after the other, and the functions
with each: the longest call of each kind says for how long somebody had to wait. A measurement without a migration tells
what the machine itself is good for.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from pyengine import schema
from pyengine.schema.sources import load, sql_root
from tests.bench.figures import Bench, Figure
from tests.bench.traffic import QUEUE
from tests.queues.arena import queue

DATABASE = "upgrades"
# The first migration whose engine works with the functions of today, as far as the load calls them.
FIRST = 33
CALM_SECONDS = 5.0
_FILL = """
insert into pyengine.workflows (
    workflow_id, status, name, queue_name, created_at, updated_at, finished_at, output, application_name, serialization,
    inputs
)
select 'old-' || lpad(i::text, 12, '0'), case when w.is_open then 'ENQUEUED' else 'SUCCESS' end, 'f' || i %% 50,
    'other', now() - interval '1 day', now(), case when not w.is_open then now() end,
    case when not w.is_open then '1'::json end, 'other', 'json', '{"positionalArgs":[],"namedArgs":{}}'
from generate_series(1, %s) i cross join lateral (select i %% 10 = 0 as is_open) w
"""


def measure_upgrades(bench: Bench) -> Iterator[Figure]:
    """Each migration since `FIRST`, one at a time, then all of today's functions; and everything in one go."""
    worst = 0.0
    with _old_engine(bench) as (session, take):
        time.sleep(CALM_SECONDS)
        yield from _figures("nothing", CALM_SECONDS, take())
        for migration in load().migrations[FIRST + 1 :]:
            with _sources(migration.version) as root:
                taken, longest = _migrate(session, root, take)
            worst = max(worst, *longest.values())
            yield from _figures(migration.name, taken, longest)
        taken, longest = _migrate(session, None, take)
        worst = max(worst, *longest.values())
        yield from _figures("functions, views and grants", taken, longest)
    with _old_engine(bench) as (session, take):
        taken, longest = _migrate(session, None, take)
        worst = max(worst, *longest.values())
        yield from _figures("everything in one go", taken, longest)
    yield Figure("the longest call", worst * 1000, "ms")


@contextmanager
def _old_engine(
    bench: Bench,
) -> Iterator[tuple[psycopg.Connection[Any], Callable[[], dict[str, float]]]]:
    """An engine as it was at `FIRST`, filled and at work; and what tells its longest calls since it was last asked."""
    bench.session.execute(f"drop database if exists {DATABASE} with (force)".encode())
    bench.session.execute(f"create database {DATABASE}".encode())
    url = make_conninfo(bench.url, dbname=DATABASE)
    with psycopg.connect(url, autocommit=True) as session:
        with _sources(FIRST) as root:
            schema.migrate(session, root=root)
        queue(session, QUEUE)
        session.execute(_FILL, [bench.rows])
        session.execute("vacuum analyze")
        with _traffic(url) as take:
            yield session, take


def _migrate(
    session: psycopg.Connection[Any], root: Path | None, take: Callable[[], dict[str, float]]
) -> tuple[float, dict[str, float]]:
    take()
    began = time.monotonic()
    report = schema.migrate(session, root=root)
    taken = time.monotonic() - began
    assert report.applied or report.functions_replaced
    time.sleep(0.5)  # what waited for it goes on
    return taken, take()


def _figures(case: str, taken: float, longest: Mapping[str, float]) -> Iterator[Figure]:
    calls = ", ".join(f"{kind} {seconds * 1000:.0f}" for kind, seconds in sorted(longest.items()))
    yield Figure(f"{case}: took", taken * 1000, "ms")
    yield Figure(f"{case}: longest call", max(longest.values()) * 1000, f"ms ({calls})")


@contextmanager
def _sources(version: int) -> Iterator[Path]:
    """The SQL sources up to a migration, without the functions that need a later one, and without views and grants."""
    directory = Path(tempfile.mkdtemp(prefix="pyengine-upgrades-"))
    later = [m.sql for m in load().migrations if m.version > version]
    needed = re.findall(r"create (?:type|table) pyengine\.(\w+)", "\n".join(later))
    try:
        (directory / "migrations").mkdir()
        for migration in load().migrations[: version + 1]:
            shutil.copy(sql_root() / migration.path, directory / "migrations")
        for source in load().repeatables:
            is_function = source.path.startswith("functions/")
            if is_function and not any(f"pyengine.{name}" in source.sql for name in needed):
                target = directory / source.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(source.sql, encoding="utf-8")
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def _traffic(url: str) -> Iterator[Callable[[], dict[str, float]]]:
    """A process that calls the engine; as a function that tells its longest calls since it was last asked."""
    command = [sys.executable, "-m", "tests.bench.traffic", url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        def take() -> dict[str, float]:
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            answer: dict[str, float] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            return answer

        time.sleep(1.0)  # plans and caches
        take()
        yield take
        process.stdin.close()


WORKLOADS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {"migrations": measure_upgrades}
