"""A process that runs the workflows of the benchmarks: `python -m tests.bench.worker URL`, until its input ends."""

from __future__ import annotations

import sys
import threading
import time

from pyengine import DBOS, Queue

Queue("bench")


@DBOS.workflow()
def noop() -> None:
    """Nothing."""


@DBOS.workflow()
async def noop_async() -> None:
    """Nothing, on the event loop."""


@DBOS.workflow()
def stamp() -> float:
    """The machine's monotonic clock, which all processes share."""
    return time.monotonic()


class Threads(threading.Thread):
    """Notes the greatest number of threads."""

    most = 0

    def run(self) -> None:
        while True:
            self.most = max(self.most, threading.active_count())
            time.sleep(0.005)


def main() -> None:
    """Work until the standard input ends."""
    DBOS(config={"name": "bench", "system_database_url": sys.argv[1], "log_level": "WARNING"})
    threads = Threads(daemon=True)
    threads.start()
    DBOS.launch()
    print("ready", flush=True)
    sys.stdin.read()
    print(threads.most, flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
