"""Calls of the engine's functions on some connections, one after another on each: `python -m tests.bench.traffic URL`.

It says "ready", and for each line on its input the seconds of the longest call of each kind since the line before.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from tests.queues.arena import call, claim, enqueue, finish, register, request

CONNECTIONS = 4
PAUSE_SECONDS = 0.005
QUEUE = "traffic"
_STEP = "select 1 from pyengine.record_steps(requests => %s)"

T = TypeVar("T")


class Stopwatch:
    """The longest call of each kind, those that are not over yet included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._longest: dict[str, float] = {}
        self._under_way: dict[int, tuple[str, float]] = {}

    def time(self, kind: str, action: Callable[[], T]) -> T:
        """Do it, and note how long it took."""
        thread, began = threading.get_ident(), time.monotonic()
        with self._lock:
            self._under_way[thread] = kind, began
        result = action()
        with self._lock:
            del self._under_way[thread]
            self._note(kind, began)
        return result

    def take(self) -> dict[str, float]:
        """The longest since the last time; a call that is under way counts now and, when it is over, again."""
        with self._lock:
            for kind, began in self._under_way.values():
                self._note(kind, began)
            longest, self._longest = self._longest, {}
        return longest

    def _note(self, kind: str, began: float) -> None:
        taken = time.monotonic() - began
        self._longest[kind] = max(taken, self._longest.get(kind, 0))


def run(url: str, stopwatch: Stopwatch, stopped: threading.Event) -> None:
    """Start a workflow, claim one, record a step of it, finish it, and again."""
    with psycopg.connect(url, autocommit=True) as session:
        executor_id = register(session)
        while not stopped.wait(PAUSE_SECONDS):
            stopwatch.time("start", lambda: enqueue(session, request(QUEUE)))
            leases = stopwatch.time("claim", lambda: claim(session, executor_id, 1, [QUEUE]))
            if leases:
                steps = json.dumps([_step(*lease) for lease in leases])
                stopwatch.time("checkpoint", lambda steps=steps: call(session, _STEP, steps))  # type: ignore[misc]
                stopwatch.time("finish", lambda leases=leases: finish(session, *leases))  # type: ignore[misc]


def _step(workflow_id: str, token: str) -> dict[str, Any]:
    place = {"workflow_id": workflow_id, "lease_token": token, "step_id": 1}
    return {**place, "name": "step", "serialization": "json", "output": 1}


def main() -> None:
    """Until the input ends."""
    stopwatch, stopped = Stopwatch(), threading.Event()
    threads = [
        threading.Thread(target=run, args=(sys.argv[1], stopwatch, stopped))
        for _ in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(stopwatch.take()), flush=True)
    stopped.set()


if __name__ == "__main__":
    main()
