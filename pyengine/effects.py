"""The effects that a flow may yield; `Call` and `Write` of `pyengine.database.calls` are effects too."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pyengine.database.calls import Call, Write
from pyengine.runs import WorkflowRun
from pyengine.spans import Span

T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class WaitFor:
    """What is waited for: of `kind` result, message, event or stream, of the workflow `id`.

    `name` is the topic or key; `position` is the first position of a stream that is of interest.
    """

    kind: str
    id: str
    name: str = ""
    position: int = 0


def wait_key(wanted: WaitFor) -> int:
    """The same key as `pyengine.wait_key` in SQL."""
    text = f"{wanted.kind}:{len(wanted.id.encode())}:{wanted.id}:{wanted.name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def until_rows(rows: list[Any]) -> float | None:
    """The wait is over when there are rows."""
    return None if rows else math.inf


@dataclass(slots=True)
class Invoke:
    """Run the user's function. The driver first makes sure that a run that was silent for long still has its lease.

    `timeout` (seconds) and `preemptible` need the async driver; `name` is for its errors. It runs in the `span`.
    `elapsed_ms` is filled in by the driver.
    """

    function: Callable[..., Any]
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    run: WorkflowRun | None = None
    timeout: float | None = None
    preemptible: bool = False
    name: str = ""
    span: Span | None = None
    elapsed_ms: float = 0.0


@dataclass(slots=True, frozen=True)
class Await:
    """Wait until `call(channel)` returns what is waited for, and return it; the call registers the channel as waiting.

    `keys` say what wakes the wait. `left(rows)` is None when the wait is over, else for how many seconds it may go on
    before it is looked at again in any case. Without success after `timeout` seconds the last rows are the result.
    The run `waiter` takes no slot of the process meanwhile. It may hibernate: until the time that the step
    `timer_step_id` holds, or until a key comes true; at once when the wait is known to be `is_long`.
    """

    call: Callable[[str | None], Call[Any]]
    keys: Sequence[WaitFor]
    left: Callable[[list[Any]], float | None] = until_rows
    timeout: float | None = None
    waiter: WorkflowRun | None = None
    timer_step_id: int | None = None
    is_long: bool = False


@dataclass(slots=True, frozen=True)
class AwaitLocal:
    """Wait for a run of this process: its output as a tuple of one, or its error is raised.

    The result is None when the workflow does not run here, or its run here ended without an outcome.
    """

    workflow_id: str
    waiter: WorkflowRun | None = None
    is_long: bool = False


@dataclass(slots=True, frozen=True)
class Delay:
    """Wait in this process, not durably; `reason` is logged as a warning."""

    seconds: float
    reason: str | None = None


Effect = Call[Any] | Write | Invoke | Await | AwaitLocal | Delay
Flow = Generator[Effect, Any, T]


def drive(flow: Flow[T], perform: Callable[[Any], Any]) -> T:
    """Run a flow to its end in this thread: `perform` carries out each effect, and raises what goes wrong with it."""
    try:
        effect = next(flow)
        while True:
            try:
                value = perform(effect)
            except BaseException as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(value)
    except StopIteration as end:
        result: T = end.value
        return result
