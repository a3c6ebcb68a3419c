"""A worker process of a campaign; it runs until somebody ends it."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import Error

from pyengine import DBOS
from pyengine.database.session import Session
from pyengine.runtime.transactions import Attempt
from tests.chaos.campaign import workload
from tests.chaos.campaign.journal import Journal
from tests.chaos.crash import function_of


@dataclass(frozen=True)
class Launch:
    """How a worker is launched; its clock is wrong by so many seconds."""

    url: str
    journal: Path
    executor: str
    clock: float = 0.0
    config: dict[str, Any] = field(default_factory=dict)


def main(launch: Launch) -> None:
    """Run workflows."""
    faulthandler.disable()
    signal.signal(signal.SIGUSR1, show_where_it_hangs)
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # it tells of each lost connection
    workload.World.journal = Journal(launch.journal)
    if launch.clock:
        set_clock_wrong(launch.clock)
    report_refusals(workload.World.journal)
    DBOS(
        config={  # type: ignore[arg-type]
            "name": "campaign",
            "system_database_url": launch.url,
            "executor_id": launch.executor,
            "run_migrations": False,
            "log_level": "CRITICAL",
            **launch.config,
        }
    )
    DBOS.launch()
    workload.World.journal.note("ready", executor=launch.executor)
    while os.getppid() != 1:
        time.sleep(1.0)


def show_where_it_hangs(*_: object) -> None:
    """Write what every thread and every task is doing on the standard error."""
    faulthandler.dump_traceback()
    loops = [each for each in gc.get_objects() if isinstance(each, asyncio.AbstractEventLoop)]
    for task in (task for loop in loops for task in asyncio.all_tasks(loop)):
        lines, waits_for = [f"task {task.get_name()}"], task.get_coro()
        while getattr(waits_for, "cr_frame", None) is not None:
            frame = waits_for.cr_frame  # type: ignore[union-attr]
            lines.append(f"  {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            waits_for = waits_for.cr_await  # type: ignore[union-attr]
        print("\n".join(lines), waits_for, file=sys.stderr, flush=True)


def set_clock_wrong(seconds: float) -> None:
    """Make the clocks of this process wrong by so much."""
    for name, scale in (("time", 1), ("time_ns", 1_000_000_000)):
        right = getattr(time, name)
        setattr(
            time, name, lambda right=right, scale=scale: right() + type(right())(seconds * scale)
        )


def report_refusals(journal: Journal) -> None:
    """Note each write that was refused because its run is over."""
    execute, start, store = Session.execute, Session.start, Attempt._store

    def report(text: str, rows: Any, error: BaseException | None) -> None:
        refused = isinstance(error, Error) and error.sqlstate == "PE001"
        function = function_of(text)
        if (
            not refused
            and rows
            and not function.startswith(("claim", "finish_and", "await", "list"))
        ):
            refused = any("PE001" in str(value) for row in rows for value in row)
        if refused:
            journal.note("refused", write=function)

    def reporting_execute(self: Session, text: str, parameters: Any) -> Any:
        try:
            rows = execute(self, text, parameters)
        except Error as error:
            report(text, None, error)
            raise
        report(text, rows, None)
        return rows

    def reporting_start(self: Session, loop: Any, text: str, parameters: Any, done: Any) -> None:
        def reporting_done(rows: Any, error: BaseException | None) -> None:
            report(text, rows, error)
            done(rows, error)

        start(self, loop, text, parameters, reporting_done)

    def reporting_store(self: Attempt, *arguments: Any) -> None:
        try:
            store(self, *arguments)
        except Error as error:
            report("commit", None, error)
            raise

    Session.execute = reporting_execute  # type: ignore[method-assign]
    Session.start = reporting_start  # type: ignore[method-assign]
    Attempt._store = reporting_store  # type: ignore[assignment, method-assign]
