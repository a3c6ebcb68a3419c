"""What a process of the control does; the same text runs on pyengine and on DBOS, because their API is one.

Usage: program.py ROLE URL OPTIONS, in the environment of the library that CONTROL_LIBRARY names. It says what happens
in lines of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

LIBRARY = os.environ["CONTROL_LIBRARY"]
library = importlib.import_module(LIBRARY)
DBOS = library.DBOS
ROLE, URL = sys.argv[1:3]
OPTIONS: dict[str, Any] = json.loads(sys.argv[3])
EXECUTOR: str = OPTIONS.get("executor", ROLE)


class PlainJson:
    """Makes what DBOS stores readable to the checker."""

    def serialize(self, data: Any) -> str:
        """A value as JSON; what has no form there as its text."""
        return json.dumps(data, default=str)

    def deserialize(self, serialized_data: str) -> Any:
        """The value again."""
        return json.loads(serialized_data)

    def name(self) -> str:
        """What is stored beside each value."""
        return "plain_json"


def say(**facts: Any) -> None:
    """Tell the parent."""
    os.write(1, json.dumps(facts).encode() + b"\n")  # in one piece, from whichever thread


@DBOS.step()
def guarded() -> str:
    """Is at work until the gate of its process opens; its outcome tells whose it is."""
    say(event="reached", workflow_id=DBOS.workflow_id)
    gate = Path(OPTIONS["gate"])
    while not gate.exists():
        time.sleep(0.005)
    return EXECUTOR


@DBOS.workflow()
def owned() -> str:
    """One step."""
    outcome: str = guarded()
    say(event="went on", workflow_id=DBOS.workflow_id)
    return outcome


@DBOS.workflow()
def task() -> None:
    """Runs for a moment, on a queue that runs one at a time."""
    time.sleep(0.002)


def launch(**config: Any) -> None:
    """As a user does it."""
    if LIBRARY == "dbos":
        config = {"run_admin_server": False, "serializer": PlainJson(), **config}
    else:
        config = {"lease_seconds": 1.0, "heartbeat_seconds": 0.2, **config}
        config.pop("run_admin_server", None)
    DBOS(
        config={
            "name": "control",
            "system_database_url": URL,
            "executor_id": EXECUTOR,
            "application_version": "1",
            "log_level": "CRITICAL",
            **config,
        }
    )
    DBOS.launch()


def install() -> None:
    """Make the tables."""
    launch()
    DBOS.destroy()


def owner() -> None:
    """Start what another process will be given."""
    launch()
    for number in range(OPTIONS["count"]):
        with library.SetWorkflowID(f"owned-{number}"):
            DBOS.start_workflow(owned)
    threading.Event().wait()


def heir() -> None:
    """Take over what is recovered."""
    launch(**OPTIONS["config"])
    say(event="ready")
    threading.Event().wait()


def dequeue() -> None:
    """Run what the queue lets run."""
    launch()
    DBOS.register_queue(
        "one", global_concurrency=1, polling_interval_sec=0.002, on_conflict="always_update"
    )
    say(event="ready")
    threading.Event().wait()


def enqueue() -> None:
    """Keep the queue from being empty, with priorities as they come."""
    client = library.DBOSClient(system_database_url=URL)
    until = time.monotonic() + OPTIONS["seconds"]
    count = 0
    while time.monotonic() < until:
        options = {
            "workflow_name": "task",
            "queue_name": "one",
            "workflow_id": str(uuid.uuid4()),
            "priority": random.randint(1, 1000),
        }
        client.enqueue(options)
        count += 1
    say(event="enqueued", count=count)


if __name__ == "__main__":
    {each.__name__: each for each in (install, owner, heir, dequeue, enqueue)}[ROLE]()
