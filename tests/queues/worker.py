"""A process that runs enqueued work: `python -m tests.queues.worker URL`, until its input ends."""

from __future__ import annotations

import sys
import time

from pyengine import DBOS


@DBOS.workflow(name="busy")
def busy(seconds: float) -> None:
    """Take some time, as work does."""
    time.sleep(seconds)


def main() -> None:
    """Work until the standard input ends."""
    DBOS(
        config={
            "name": "test-app",
            "system_database_url": sys.argv[1],
            "executor_id": "worker",
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    print("ready", flush=True)
    sys.stdin.read()
    DBOS.destroy()


if __name__ == "__main__":
    main()
