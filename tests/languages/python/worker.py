"""The functions of the conformance suite for pyengine's own worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from pyengine import DBOS

_directory = Path(os.environ["PYENGINE_CONFORMANCE_DIR"])


class ConformanceError(Exception):
    """What the functions fail with."""


@DBOS.workflow()
def echo(value: Any) -> Any:
    return value


@DBOS.workflow()
def total(numbers: list[float]) -> float:
    result = 0.0
    for number in numbers:
        result = DBOS.run_step({"name": "add"}, lambda a, b: a + b, result, number)
    return result


@DBOS.workflow()
def visit(names: list[str]) -> list[str]:
    return [DBOS.run_step({"name": name}, visit_place, name) for name in names]


def visit_place(name: str) -> str:
    with (_directory / f"{DBOS.workflow_id}.log").open("a") as log:
        log.write(f"{name}\n")
    while (_directory / f"{DBOS.workflow_id}.{name}.hold").exists():
        time.sleep(0.01)
    return name


@DBOS.workflow()
def fail(message: str) -> None:
    raise ConformanceError(message)


@DBOS.workflow()
def catch(message: str) -> str:
    try:
        DBOS.run_step({"name": "risky"}, risk, message)
    except Exception as error:
        DBOS.run_step({"name": "after"}, visit_place, "after")
        return f"caught: {error}"
    raise AssertionError("the step has not failed")


def risk(message: str) -> None:
    visit_place("risky")
    raise ConformanceError(message)


@DBOS.workflow()
def nap(milliseconds: float) -> str:
    DBOS.sleep(milliseconds / 1000)
    return "awake"


@DBOS.workflow()
def receive(topic: str | None, timeout_ms: float) -> Any:
    return DBOS.recv(topic, timeout_seconds=timeout_ms / 1000)


@DBOS.workflow()
def post(destination_id: str, message: Any, topic: str | None) -> None:
    DBOS.send(destination_id, message, topic)


@DBOS.workflow()
def publish(key: str, value: Any) -> None:
    DBOS.set_event(key, value)


@DBOS.workflow()
def look(workflow_id: str, key: str, timeout_ms: float) -> Any:
    return DBOS.get_event(workflow_id, key, timeout_seconds=timeout_ms / 1000)


@DBOS.workflow()
def stream(key: str, values: list[Any]) -> int:
    for value in values:
        DBOS.write_stream(key, value)
    DBOS.close_stream(key)
    return len(values)


@DBOS.workflow()
def family(names: list[str]) -> list[Any]:
    children = [DBOS.start_workflow(visit, [name]) for name in names]
    return [child.get_result() for child in children]


def main() -> None:
    """Run until SIGTERM."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    DBOS(
        config={
            "name": "conformance",
            "system_database_url": os.environ["PYENGINE_DATABASE_URL"],
            "executor_id": os.environ["PYENGINE_EXECUTOR"],
            "lease_seconds": float(os.environ["PYENGINE_LEASE_SECONDS"]),
            "heartbeat_seconds": float(os.environ["PYENGINE_LEASE_SECONDS"]) / 4,
            "run_migrations": False,
        }
    )
    DBOS.launch()
    print("ready", flush=True)
    stopping.wait()
    DBOS.destroy()


if __name__ == "__main__":
    main()
