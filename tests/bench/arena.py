"""Where the comparisons run: one server, a fresh database for each run, and the subjects' programs as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.bench.comparisons import Comparison
from tests.bench.costs import Meter
from tests.bench.subjects import Subject
from tests.fix_server import PrivateServer

_ROOT = Path(__file__).parents[2]
SECONDS_AT_MOST = 150


class RunFailedError(Exception):
    """A subject's program did not end well; the text is the end of what it said."""


class Arena:
    """Runs the subjects' programs and measures them."""

    def __init__(
        self, server: PrivateServer, environments: Path, *, counts_statements: bool
    ) -> None:
        self._server = server
        self._environments = environments
        self._counts_statements = counts_statements
        self._number = 0

    def prepare(self, subject: Subject) -> None:
        """Install a subject's schema once, into the template of its databases."""
        with self._connect() as connection:
            name = sql.Identifier(self._template(subject))
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(name))
        self._create(self._template(subject), "template1")
        self._finish(self._begin(subject, "prepare", self._server.url(self._template(subject)), {}))

    def run(self, subject: Subject, comparison: Comparison) -> dict[str, Any]:
        """One round: what the program says, and its costs."""
        options = dict(comparison.options)
        share = comparison.slow_peers.get(subject.name, 1)
        if "rounds" in options:
            options["rounds"] = max(options["rounds"] // share, 1)
        elif "count" in options and comparison.workload not in ("waiting", "waiting_async"):
            options["count"] = max(options["count"] // share, 10)
        with self._database(subject) as url:
            meter = Meter(url, self._server.postmaster, self._counts_statements)
            if comparison.workload == "takeover":
                return self._takeover(subject, url, options)
            if comparison.workload == "idle":
                return self._idle(subject, url, options, meter)
            if comparison.sender:
                return self._with_sender(subject, comparison, url, options)
            with meter.measure() as costs:
                result = self._finish(self._begin(subject, comparison.workload, url, options))
            return {**result, "costs": costs.per(result.get("count", 1))}

    def _with_sender(
        self, subject: Subject, comparison: Comparison, url: str, options: dict[str, Any]
    ) -> dict[str, Any]:
        options["id"] = f"bench-{time.monotonic_ns()}"
        process = self._begin(subject, comparison.workload, url, options)
        self._hear(process)
        sender = self._begin(subject, f"{comparison.workload}_sender", url, options)
        try:
            return self._finish(process)
        finally:
            _kill(sender)

    def _idle(
        self, subject: Subject, url: str, options: Mapping[str, Any], meter: Meter
    ) -> dict[str, Any]:
        process = self._begin(subject, "idle", url, options)
        self._hear(process)
        with meter.measure() as costs:
            time.sleep(options["seconds"] - 1)
        self._finish(process)
        counted = costs.commits if costs.statements is None else costs.statements
        own = 3  # the meter's own, between its two readings
        return {"value": max(counted - own, 0) / (options["seconds"] - 1)}

    def _takeover(self, subject: Subject, url: str, options: dict[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as directory:
            marks = Path(directory) / "marks"
            marks.touch()
            options = {**options, "path": str(marks), "seconds": SECONDS_AT_MOST}
            # DBOS without its control plane resumes only in a process of the same name: it is started anew.
            is_live = subject.name != "dbos"
            standby = self._begin(subject, "standby", url, options) if is_live else None
            if standby is not None:
                self._hear(standby)
            victim = self._begin(subject, "victim", url, options)
            _until(lambda: len(_marks(marks, victim.pid)) >= options["count"])
            killed_at = time.monotonic()
            _kill(victim)
            if standby is None:
                standby = self._begin(subject, "standby", url, options)
            pid = standby.pid
            try:
                _until(lambda: len(_marks(marks, pid)) >= options["count"])
            finally:
                _kill(standby)
            return {"value": max(_marks(marks, pid)) - killed_at, "count": options["count"]}

    def _begin(
        self, subject: Subject, workload: str, url: str, options: Mapping[str, Any]
    ) -> subprocess.Popen[str]:
        command = subject.command(self._environments, workload, url, json.dumps(options))
        environment = {**os.environ, "BENCH_LIBRARY": subject.name}
        if not subject.packages:
            environment["PYTHONPATH"] = str(_ROOT)
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _hear(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                said: dict[str, Any] = json.loads(line)
                return said
        raise RunFailedError(process.communicate()[1][-1500:])

    def _finish(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        try:
            output, errors = process.communicate(timeout=SECONDS_AT_MOST)
        except subprocess.TimeoutExpired:
            raise RunFailedError(f"nothing after {SECONDS_AT_MOST} s") from None
        finally:
            _kill(process)
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if not lines:
            raise RunFailedError(errors[-1500:])
        result: dict[str, Any] = json.loads(lines[-1])
        return result

    @contextmanager
    def _database(self, subject: Subject) -> Iterator[str]:
        self._number += 1
        name = f"run_{self._number}"
        self._create(name, self._template(subject))
        try:
            yield self._server.url(name)
        finally:
            with self._connect() as connection:
                connection.execute(
                    sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
                )

    def _create(self, name: str, template: str) -> None:
        with self._connect() as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
            connection.execute("checkpoint")

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server.url(), autocommit=True)

    @staticmethod
    def _template(subject: Subject) -> str:
        return f"template_{subject.name}"


def _marks(file: Path, pid: int) -> list[float]:
    lines = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
    return [float(line[2]) for line in lines if len(line) == 3 and line[0] == str(pid)]


def _until(condition: Any) -> None:
    deadline = time.monotonic() + SECONDS_AT_MOST
    while not condition():
        if time.monotonic() > deadline:
            raise RunFailedError(f"nothing after {SECONDS_AT_MOST} s")
        time.sleep(0.02)


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
