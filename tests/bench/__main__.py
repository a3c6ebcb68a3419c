"""Measure pyengine beside its peers: `make bench`, or `WORKLOAD=W1,W4d make bench` for some rows.

The peers come from PyPI, into environments of their own below .bench/. All use one fresh server that flushes to
disk as in production, each run in a fresh database; the rounds of the subjects are interleaved, and the limits (pgbench
calling a bare function) are taken in every round, so that a noisy machine shows in all of them alike.

Environment: WORKLOAD (keys, `curves` or `all`; by default every comparison), SUBJECT (names; all), ROUNDS (3),
PYENGINE_BENCH_ROWS (size of backlogs and histories, 1000000), MINUTES (of horizon, 5), PYENGINE_PG_BINDIR (the server),
OUTPUT (.bench/results).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from pyengine import schema
from pyengine.embedded.binaries import select
from tests.bench import (
    calls,
    curves,
    horizon,
    limits,
    listing,
    machine,
    pictures,
    queues,
    report,
    streams,
    upgrades,
    waits,
)
from tests.bench.arena import Arena, RunFailedError
from tests.bench.comparisons import COMPARISONS, CURVES, Comparison
from tests.bench.figures import Bench, Figure
from tests.bench.subjects import SUBJECTS, Subject
from tests.fix_server import PrivateServer, server_directory

ROOT = Path(__file__).parents[2]
# Workloads of pyengine alone: how it behaves as things grow.
GROWTH: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {
    **horizon.WORKLOADS,
    **calls.WORKLOADS,
    **listing.WORKLOADS,
    **queues.WORKLOADS,
    **streams.WORKLOADS,
    **upgrades.WORKLOADS,
    **waits.WORKLOADS,
}
_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "max_connections": 200}


def main() -> int:
    """Run what was chosen; print the table, write JSON and pictures."""
    logging.getLogger("pyengine").setLevel(logging.WARNING)
    comparisons, growth = _choose(os.environ.get("WORKLOAD", ""))
    subjects = _subjects(os.environ.get("SUBJECT", ""))
    output = Path(os.environ.get("OUTPUT", ROOT / ".bench" / "results"))
    output.mkdir(parents=True, exist_ok=True)
    environments = ROOT / ".bench" / "environments"
    for subject in subjects if comparisons else ():
        print(f"{subject.title}: environment", file=sys.stderr)
        subject.install(environments)
    directory = server_directory()
    server, counts_statements = _start(directory)
    began = time.monotonic()
    try:
        described = machine.describe(_version(server))
        print(", ".join(f"{name} {value}" for name, value in described.items()))
        rows = []
        if comparisons:
            arena = Arena(server, environments, counts_statements=counts_statements)
            versions = {subject.name: subject.version(environments) for subject in subjects}
            print(", ".join(f"{name} {version}" for name, version in versions.items()))
            rows = list(_compare(arena, server, subjects, comparisons, directory))
            _write(output, described, versions, rows)
        _grow(server, growth, output)
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{time.monotonic() - began:.0f} s; JSON and pictures are in {output}")
    return 0


def _compare(
    arena: Arena,
    server: PrivateServer,
    subjects: Sequence[Subject],
    comparisons: Sequence[Comparison],
    directory: Path,
) -> Iterator[report.Row]:
    for subject in subjects:
        arena.prepare(subject)
    print(report.heading())
    for comparison in comparisons:
        row = report.Row(comparison)
        rounds = 1 if comparison.once else int(os.environ.get("ROUNDS", "3"))
        for _ in range(rounds):
            for subject in subjects:
                _round(arena, subject, comparison, row)
            if comparison.limit is not None:
                row.limits.append(limits.measure(server.url(), _bindir(), directory))
        print(report.line(row), flush=True)
        for line in report.cost_lines(row):
            print(line, flush=True)
        yield row


def _round(arena: Arena, subject: Subject, comparison: Comparison, row: report.Row) -> None:
    if not subject.has(comparison.workload):
        return
    try:
        row.rounds.setdefault(subject.name, []).append(arena.run(subject, comparison))
    except RunFailedError as error:
        print(f"{subject.title} failed at {comparison.title}: {error}", file=sys.stderr)


def _grow(
    server: PrivateServer, growth: Mapping[str, Callable[[Bench], Iterator[Figure]]], output: Path
) -> None:
    rows = int(os.environ.get("PYENGINE_BENCH_ROWS", "1000000"))
    figures: dict[str, list[Figure]] = {}
    for name, workload in growth.items():
        with psycopg.connect(server.url(), autocommit=True) as connection:
            schema.migrate(connection)
            schema.reset(connection, truncate=True)
            for figure in workload(Bench(server.url(), connection, rows=rows)):
                figures.setdefault(name, []).append(figure)
                print(
                    f"{name:<12}{figure.case:<44}{figure.value:>12,.2f}  {figure.unit}", flush=True
                )
    if figures:
        (output / "growth.json").write_text(
            json.dumps(
                {name: [vars(figure) for figure in found] for name, found in figures.items()},
                indent=1,
            )
        )
        curves.draw_claims(figures, output)
        curves.draw_horizon(figures, output)


def _write(
    output: Path,
    described: Mapping[str, str],
    versions: Mapping[str, str],
    rows: Sequence[report.Row],
) -> None:
    results: dict[str, Any] = {
        "machine": described,
        "versions": versions,
        "rows": [row.as_json() for row in rows],
    }
    (output / "results.json").write_text(json.dumps(results, indent=1))
    (output / "table.md").write_text(report.markdown(rows) + "\n")
    drawn_as_curves = [row for row in rows if row.comparison in CURVES]
    pictures.draw_rows([row for row in rows if row not in drawn_as_curves], output)
    curves.draw_concurrency(drawn_as_curves, output)


def _choose(
    chosen: str,
) -> tuple[list[Comparison], Mapping[str, Callable[[Bench], Iterator[Figure]]]]:
    names = [name for name in chosen.split(",") if name]
    keys = {comparison.key: comparison for comparison in (*COMPARISONS, *CURVES)}
    unknown = sorted(set(names) - keys.keys() - GROWTH.keys() - {"all", "curves"})
    if unknown:
        known = ", ".join([*keys, *GROWTH, "curves", "all"])
        sys.exit(f"no workload {', '.join(unknown)}: there are {known}")
    if "all" in names:
        return [*COMPARISONS, *CURVES], GROWTH
    if "curves" in names:
        names += [comparison.key for comparison in CURVES]
    if not names:
        return list(COMPARISONS), {}
    return (
        [keys[name] for name in names if name in keys],
        {name: GROWTH[name] for name in names if name in GROWTH},
    )


def _subjects(chosen: str) -> list[Subject]:
    names = [name for name in chosen.split(",") if name]
    unknown = sorted(set(names) - {subject.name for subject in SUBJECTS})
    if unknown:
        known = ", ".join(subject.name for subject in SUBJECTS)
        sys.exit(f"no subject {', '.join(unknown)}: there are {known}")
    return [subject for subject in SUBJECTS if not names or subject.name in names]


def _start(directory: Path) -> tuple[PrivateServer, bool]:
    """The server, and whether it counts statements: that needs an extension that not every build has."""
    counts = _has_statement_counts()
    settings: dict[str, Any] = dict(_SETTINGS)
    if counts:
        settings["shared_preload_libraries"] = "pg_stat_statements"
    server = PrivateServer(directory / "server", settings)
    if counts:
        with psycopg.connect(server.url("template1"), autocommit=True) as connection:
            connection.execute("create extension if not exists pg_stat_statements")
    return server, counts


def _has_statement_counts() -> bool:
    program = _bindir() / "pg_config"
    output = subprocess.run([program, "--sharedir"], capture_output=True, text=True, check=False)
    return (Path(output.stdout.strip()) / "extension/pg_stat_statements.control").is_file()


def _bindir() -> Path:
    explicit = os.environ.get("PYENGINE_PG_BINDIR")
    return select(Path(explicit) if explicit else None, Path("no data yet")).directory


def _version(server: PrivateServer) -> str:
    with psycopg.connect(server.url()) as connection:
        row: Any = connection.execute("show server_version").fetchone()
        return str(row[0])


if __name__ == "__main__":
    sys.exit(main())
