"""The effects that a flow may yield; `Call` and `Write` of `pyengine.database.calls` are effects too."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pyengine.database.calls import Call, Write
from pyengine.runs import WorkflowRun

T = TypeVar("T")


@dataclass(slots=True)
class Invoke:
    """Run the user's function. The driver first makes sure that a run that was silent for long still has its lease.

    `timeout` (seconds) and `preemptible` need the async driver. `elapsed_ms` is filled in by the driver.
    """

    function: Callable[..., Any]
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    run: WorkflowRun | None = None
    timeout: float | None = None
    preemptible: bool = False
    elapsed_ms: float = 0.0


@dataclass(slots=True, frozen=True)
class Await:
    """Wait until `call(channel)` returns rows, and return them; the call registers the channel as waiting.

    `keys` (kind, id) say what wakes the wait. Without rows after `timeout` seconds the result is an empty list.
    The run `waiter` takes no slot of the process meanwhile.
    """

    call: Callable[[str | None], Call[Any]]
    keys: Sequence[tuple[str, str]]
    timeout: float | None = None
    waiter: WorkflowRun | None = None


@dataclass(slots=True, frozen=True)
class AwaitLocal:
    """Wait for a run of this process: its output as a tuple of one, or its error is raised.

    The result is None when the workflow does not run here, or its run here ended without an outcome.
    """

    workflow_id: str
    waiter: WorkflowRun | None = None


@dataclass(slots=True, frozen=True)
class Delay:
    """Wait in this process, not durably; `reason` is logged as a warning."""

    seconds: float
    reason: str | None = None


Effect = Call[Any] | Write | Invoke | Await | AwaitLocal | Delay
Flow = Generator[Effect, Any, T]
