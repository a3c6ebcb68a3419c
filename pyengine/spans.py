"""What tracing looks like from inside: spans, and what makes them. Without telemetry there are none."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pyengine.runs import WorkflowRun

WORKFLOW = "workflow"
STEP = "step"
TRANSACTION = "transaction"
OPERATION = "operation"


class Span(Protocol):
    """How long something took, and how it ended."""

    def child(self, kind: str, name: str) -> Span:
        """Begin a span of the same run, inside the span of the calling code."""
        ...

    def event(self, name: str, text: str) -> None:
        """Note that something happened."""
        ...

    def current(self) -> AbstractContextManager[object]:
        """In the block it is the span of the calling code."""
        ...

    def end(self, error: BaseException | None = None) -> None:
        """End the span: well, or with an error, whose message is kept out of it."""
        ...


class Telemetry(Protocol):
    """Where spans and logs go."""

    def workflow(self, run: WorkflowRun) -> Span:
        """Begin the span of a run."""
        ...

    def trace_id(self) -> str | None:
        """The trace that the calling code belongs to, as hexadecimal digits."""
        ...

    def stop(self) -> None:
        """Send what is left, and send no more."""
        ...
