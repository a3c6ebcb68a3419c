"""A process that runs workflows and does what its parent says through a pipe.

Parent to worker: ("call", id, workflow, *args), ("start", id, workflow, *args), ("result", id), ("cancel", id),
("open", gate), ("leave",) once all that is done. Worker to parent: ("ready",), ("started", id), ("result", id, value),
("error", id, text), ("reached", id, gate), ("trip", function), ("write", function, outcome), ("left",).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pyengine import DBOS, SetWorkflowID
from tests.chaos import crash, program
from tests.chaos.ledger import Ledger


@dataclass(frozen=True)
class Options:
    """How a worker is launched; `trips` reports each call of the database, `writes` what became of each write."""

    url: str
    ledger: Path
    executor: str = "worker"
    config: dict[str, Any] = field(default_factory=dict)
    crash: str | None = None
    trips: bool = False
    writes: bool = False


class _Pipe:
    """Sends whole messages from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def tell(self, *message: object) -> None:
        with self._lock:
            self._connection.send(message)


def main(options: Options, connection: Connection) -> None:
    """Launch, obey until told to leave."""
    pipe = _Pipe(connection)
    program.world.ledger = Ledger(options.ledger)
    program.world.tell = pipe.tell
    _install_hooks(options, pipe)
    DBOS(
        config={  # type: ignore[arg-type]
            "name": "chaos",
            "system_database_url": options.url,
            "executor_id": options.executor,
            "run_migrations": False,
            "log_level": "WARNING",
            **options.config,
        }
    )
    DBOS.launch()
    pipe.tell("ready")
    under_way: list[threading.Thread] = []
    while (command := connection.recv())[0] != "leave":
        if command[0] == "open":
            program.world.gates[command[1]].set()
        else:
            under_way.append(threading.Thread(target=_obey, args=(pipe, command), daemon=True))
            under_way[-1].start()
    for thread in under_way:
        thread.join()
    DBOS.destroy(workflow_completion_timeout_sec=5)
    pipe.tell("left")
    os._exit(0)


def _install_hooks(options: Options, pipe: _Pipe) -> None:
    if options.trips or options.crash:
        wanted = crash.Crash.parse(options.crash) if options.crash else None
        seen = (lambda function: pipe.tell("trip", function)) if options.trips else lambda _: None
        crash.install(wanted, seen)
    if options.writes:
        crash.report_writes(lambda function, outcome: pipe.tell("write", function, outcome))


def _obey(pipe: _Pipe, command: tuple[Any, ...]) -> None:
    verb, workflow_id = command[:2]
    try:
        pipe.tell(*_VERBS[verb](*command[1:]))
    except Exception as error:
        pipe.tell("error", workflow_id, f"{type(error).__name__}: {error}")


def _call(workflow_id: str, name: str, *args: Any) -> tuple[Any, ...]:
    function = getattr(program, name)
    with SetWorkflowID(workflow_id):
        result = function(*args)
        if asyncio.iscoroutine(result):
            result = asyncio.run(result)
        return "result", workflow_id, result


def _start(workflow_id: str, name: str, *args: Any) -> tuple[Any, ...]:
    with SetWorkflowID(workflow_id):
        DBOS.start_workflow(getattr(program, name), *args)
    return "started", workflow_id


def _result(workflow_id: str) -> tuple[Any, ...]:
    handle = DBOS.retrieve_workflow(workflow_id, existing_workflow=False)
    return "result", workflow_id, handle.get_result()


def _cancel(workflow_id: str) -> tuple[Any, ...]:
    DBOS.cancel_workflow(workflow_id)
    return "cancelled", workflow_id


_VERBS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "call": _call,
    "start": _start,
    "result": _result,
    "cancel": _cancel,
}
