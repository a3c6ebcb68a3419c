"""What a timeline is made of: rows, and the spans of time that each draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pyengine.database.rows import WorkflowRow

Kind = Literal[
    "copied",
    "created",
    "delay",
    "queue",
    "attempt",
    "step",
    "sleep",
    "wait",
    "child",
    "deadline",
    "end",
]


@dataclass(frozen=True, slots=True)
class Span:
    """A time that is recorded; without an end it goes on now."""

    begin: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a timeline.

    Attributes:
        kind: what it is.
        name: its name, as it is stored.
        workflow_id: the workflow of which it is a part.
        spans: when it was; none when that is not recorded.
        has_times: whether the spans are its own, and not those of what is recorded of it.
        outcome: ok, error, or how it stands.
        step_id: the number of the step.
        attempt: the attempt that recorded it.
        child_workflow_id: the workflow that it started or waited for.
        until: when a delay, a sleep or a wait ends at the latest.
        note: what is to be known beside it.
        level: 0, or 1 in a child of the workflow.
        count: how many rows it stands for.
    """

    kind: Kind
    name: str
    workflow_id: str
    spans: tuple[Span, ...] = ()
    has_times: bool = True
    outcome: str | None = None
    step_id: int | None = None
    attempt: int | None = None
    child_workflow_id: str | None = None
    until: datetime | None = None
    note: str | None = None
    level: int = 0
    count: int = 1

    @property
    def is_open(self) -> bool:
        """Whether it goes on now."""
        return any(span.end is None for span in self.spans)

    def took(self, now: datetime) -> timedelta | None:
        """How long it took, or has taken until now; of several the longest; None when nobody recorded it."""
        spans = self.spans if self.has_times else ()
        return max(((span.end or now) - span.begin for span in spans), default=None) or None

    def as_dict(self) -> dict[str, Any]:
        """The row for programs, which is one that stands for no others."""
        span = self.spans[0] if self.spans and self.has_times else None
        return {
            "kind": self.kind,
            "workflow_id": self.workflow_id,
            "name": self.name,
            "step_id": self.step_id,
            "attempt": self.attempt,
            "outcome": self.outcome,
            "started_at": span and span.begin,
            "ended_at": span and span.end,
            "is_open": self.is_open,
            "until": self.until,
            "child_workflow_id": self.child_workflow_id,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A workflow and the rows of its timeline.

    Attributes:
        workflow: the workflow, without its payloads.
        rows: its lines, top to bottom.
        now: the engine's time of the picture.
        begin: where the axis of time begins.
        end: where it ends.
        sentences: why the workflow is where it is; none when it has ended.
        is_part: whether there are steps that are not shown.
    """

    workflow: WorkflowRow
    rows: Sequence[Row]
    now: datetime
    begin: datetime
    end: datetime
    sentences: Sequence[str]
    is_part: bool
