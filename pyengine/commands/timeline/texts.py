"""The words of a timeline, which are the same in the terminal and in an image."""

from __future__ import annotations

from datetime import datetime

from pyengine.commands import printing
from pyengine.commands.timeline.rows import Picture, Row


def heading(picture: Picture) -> list[str]:
    """Which workflow it is, how it stands, and which time the axis covers."""
    workflow = picture.workflow
    length = printing.text(picture.end - picture.begin)
    end = "now" if workflow.finished_at is None and picture.end == picture.now else None
    covered = (
        f"{printing.text(picture.begin)} to {end or printing.text(picture.end)} ({length})"
        + (", a part of its steps" if picture.is_part else "")
    )
    name = f"{printing.escaped(workflow.workflow_id)} ({printing.escaped(workflow.name)})"
    return [f"{name} {workflow.status}", covered]


def label(row: Row) -> str:
    """What stands before a row's bar, indented below what it is a part of."""
    name = printing.escaped(row.name)
    if row.step_id is not None:
        name = f"{row.step_id} {name}"
    elif row.count > 1 and row.kind not in ("copied", "attempt"):
        name = f"… {row.count:,} more {name}"
    is_inside = row.attempt is not None and row.kind != "attempt"
    return "  " * (row.level * 2 + is_inside) + name


def took(row: Row, now: datetime) -> str:
    """How long it took; of several how long at most."""
    longest = row.took(now)
    if longest is None:
        return ""
    return ("≤" if row.count > 1 else "") + printing.text(longest)


def detail(row: Row, now: datetime) -> str:
    """All there is to say about a row, for those who point at it."""
    parts = [
        label(row).strip(),
        row.outcome,
        took(row, now),
        f"from {printing.text(row.spans[0].begin)}" if row.spans and row.has_times else None,
        f"until {printing.text(row.until)}" if row.until else None,
        f"workflow {printing.escaped(row.child_workflow_id)}" if row.child_workflow_id else None,
        printing.escaped(row.note) if row.note else None,
    ]
    return ", ".join(part for part in parts if part)
