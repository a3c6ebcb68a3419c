"""The other side of the show: starts a worker, sends it orders, kills it, and starts another."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import psycopg

PACE_SECONDS = 1 / 75  # between two orders
PATIENCE_SECONDS = 60.0  # a worker that has not finished by then is killed


class WorkerEndedError(Exception):
    """A worker ended that was not killed; what it printed says why."""


class Worker:
    """A worker process, used as a context manager."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pyengine.examples.orders.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the supervisor, which then kills it
            env={
                **os.environ,
                "ORDERS_DATABASE_URL": database_url,
                "ORDERS_DIRECTORY": str(directory),
            },
        )
        self._watchdog = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()
        self._expect("ready")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def place(self, number: int) -> None:
        """Send an order; when this returns, its workflow is stored."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        self._expect(str(number))

    def kill(self) -> None:
        """Kill -9: it has no chance to tidy up."""
        self._process.kill()
        self._process.wait()

    def _expect(self, answer: str) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != answer:
            raise WorkerEndedError(f"worker {self.pid} ended, for a reason of its own")

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if error is not None:
            self._process.kill()
        if self._process.poll() is None:
            self._process.stdin.close()  # the end of its orders
        self._process.wait()
        self._process.stdout.close()
        self._watchdog.cancel()


class Progress:
    """How many orders are finished: one changing line in a terminal, a line for each tenth otherwise."""

    def __init__(
        self, sql: psycopg.Connection[Any], expected: int, out: TextIO = sys.stdout
    ) -> None:
        self._sql = sql
        self._expected = expected
        self._out = out
        self._looked_at = 0.0
        self._count = 0
        self._tenths = 0

    def finished(self) -> int:
        """Count the finished orders, at most ten times a second, and show the count."""
        if time.monotonic() - self._looked_at >= 0.1:
            self._looked_at = time.monotonic()
            self._count = self.recount()
            self._show()
        return self._count

    def recount(self) -> int:
        """Count the finished orders now."""
        row = self._sql.execute(
            "select count(*) from pyengine.workflows where finished_at is not null"
        ).fetchone()
        return 0 if row is None else int(row[0])

    def end_line(self) -> None:
        """Leave the changing line as it is and go on below it."""
        if self._out.isatty():
            print(file=self._out)

    def _show(self) -> None:
        done = self._count / self._expected
        text = (
            f"  [{'#' * int(done * 40):.<40}] {self._count:3} of {self._expected} orders finished"
        )
        if self._out.isatty():
            print(f"\r{text}", end="", file=self._out, flush=True)
        elif int(done * 10) > self._tenths:
            self._tenths = int(done * 10)
            print(text, file=self._out, flush=True)


def place(worker: Worker, numbers: Sequence[int], progress: Progress, stop_at: int) -> int:
    """Place orders one after the other until `stop_at` are finished; returns how many were placed."""
    for placed, number in enumerate(numbers):
        if progress.finished() >= stop_at:
            return placed
        worker.place(number)
        time.sleep(PACE_SECONDS)
    return len(numbers)


def wait_until_finished(progress: Progress, expected: int) -> None:
    """Wait for the last order; gives up after a minute."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while progress.finished() < expected and time.monotonic() < deadline:
        time.sleep(0.02)
    progress.end_line()
