"""A process of waiting workflows: `python -m tests.bench.waiter URL HIBERNATE_AFTER`.

It obeys the lines of its input, `start NAME COUNT`, and answers `peak` and `now` with its number of threads, its
resident memory in megabytes, and how many statements it has sent in all. It ends with its input.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

from pyengine import DBOS
from pyengine.database.session import Session

HOUR = 3600.0


@DBOS.workflow()
def sleep(seconds: float) -> None:
    """Sleep."""
    DBOS.sleep(seconds)


@DBOS.workflow()
async def sleep_async(seconds: float) -> None:
    """Sleep, on the event loop."""
    await DBOS.sleep_async(seconds)


@DBOS.workflow()
def recv(seconds: float) -> None:
    """Wait for a message."""
    DBOS.recv("topic", timeout_seconds=seconds)


@DBOS.workflow()
async def recv_async(seconds: float) -> None:
    """Wait for a message, on the event loop."""
    await DBOS.recv_async("topic", timeout_seconds=seconds)


WORKFLOWS = {each.__name__: each for each in (sleep, sleep_async, recv, recv_async)}


class Peak(threading.Thread):
    """Notes the greatest number of threads and the greatest memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.threads = 0
        self.megabytes = 0.0

    def run(self) -> None:
        while True:
            self.threads = max(self.threads, threading.active_count() - 1)
            self.megabytes = max(self.megabytes, megabytes())
            time.sleep(0.02)


def megabytes() -> float:
    """The resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) / 1024


class Statements:
    """Counts what the engine sends."""

    def __init__(self) -> None:
        self.count = 0
        execute = Session.execute

        def counted(session: Session, text: str, parameters: Any) -> Any:
            self.count += 1
            return execute(session, text, parameters)

        setattr(Session, "execute", counted)  # noqa: B010 - a method is replaced


def main() -> None:
    """Obey the lines of the standard input."""
    after = None if sys.argv[2] == "never" else float(sys.argv[2])
    DBOS(
        config={
            "name": "bench",
            "system_database_url": sys.argv[1],
            "log_level": "WARNING",
            "hibernate_after": after,
        }
    )
    peak, statements = Peak(), Statements()
    peak.start()
    DBOS.launch()
    print("ready", flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "start":
            for _ in range(int(words[1])):
                DBOS.start_workflow(WORKFLOWS[words[0]], HOUR)
            print("started", flush=True)
        elif command == "peak":
            print(peak.threads, peak.megabytes, statements.count, flush=True)
        else:
            print(threading.active_count() - 1, megabytes(), statements.count, flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
