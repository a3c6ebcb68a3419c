"""What a timeline is drawn from, read from the engine as of one moment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import psycopg

from pyengine.commands.database import Engine
from pyengine.commands.finding import find
from pyengine.commands.timeline.folding import folded
from pyengine.commands.timeline.history import History
from pyengine.commands.timeline.rows import Picture, Row
from pyengine.database import calls, insight_calls
from pyengine.database.rows import StepRow, WorkflowRow

_PAGE = 1000


class Wanted(NamedTuple):
    """What is to be in the picture.

    Attributes:
        workflow_id: the workflow.
        limit: at most so many steps; None is all.
        offset: behind so many.
        with_children: whether the children are shown with their steps.
        is_folded: whether one row stands for many alike.
    """

    workflow_id: str
    limit: int | None
    offset: int
    with_children: bool
    is_folded: bool


def read(engine: Engine, wanted: Wanted) -> Picture:
    """The picture of a workflow, all of it as of one moment.

    Raises:
        NoSuchError: There is no such workflow.
    """
    with _as_of_one_moment(engine.connection):
        workflow = find(engine, wanted.workflow_id)
        steps, neighbours = _steps(engine, wanted)
        is_part = wanted.offset > 0 or len(neighbours) > len(steps)
        children = _children(engine, steps)
        now = engine.now()
        history = History(
            workflow, steps, {s.step_id: s for s in neighbours}, children, now, is_part
        )
        rows = _arranged(history, is_folded=wanted.is_folded)
        begin, end = _limits(rows, history)
        if wanted.with_children:
            rows = list(_with_children(engine, rows, history, is_folded=wanted.is_folded))
        sentences = [] if workflow.finished_at else _sentences(engine, wanted.workflow_id)
    return Picture(
        workflow=workflow,
        rows=rows,
        now=now,
        begin=begin,
        end=end,
        sentences=sentences,
        is_part=is_part,
    )


@contextmanager
def _as_of_one_moment(connection: psycopg.Connection) -> Iterator[None]:
    """Let all that is read meanwhile fit together."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        yield


def _steps(engine: Engine, wanted: Wanted) -> tuple[list[StepRow], list[StepRow]]:
    """The steps that are wanted; and with them the one before and the one behind, which tell what a wait was."""
    before = min(wanted.offset, 1)
    call = calls.list_steps(
        workflow_id=wanted.workflow_id,
        with_outcome=False,
        with_error=True,
        row_limit=None if wanted.limit is None else before + wanted.limit + 1,
        row_offset=wanted.offset - before,
    )
    rows = engine.rows(call)
    behind = None if wanted.limit is None else before + wanted.limit
    return rows[before:behind], rows


def _children(engine: Engine, steps: Iterable[StepRow]) -> dict[str, WorkflowRow]:
    ids = list(dict.fromkeys(s.child_workflow_id for s in steps if s.child_workflow_id))
    found: dict[str, WorkflowRow] = {}
    for begin in range(0, len(ids), _PAGE):
        filters: dict[str, object] = {
            "workflow_ids": ids[begin : begin + _PAGE],
            "load_input": False,
            "load_output": False,
        }
        rows = engine.rows(calls.list_workflows(filters=filters))
        found |= {row.workflow_id: row for row in rows}
    return found


def _arranged(history: History, *, is_folded: bool) -> list[Row]:
    groups = history.groups()
    return [row for group in groups for row in (folded(group) if is_folded else group)]


def _with_children(
    engine: Engine, rows: Sequence[Row], history: History, *, is_folded: bool
) -> Iterator[Row]:
    for row in rows:
        yield row
        child = history.children.get(row.child_workflow_id or "")
        if row.kind == "child" and row.count == 1 and child is not None:
            wanted = Wanted(child.workflow_id, None, 0, with_children=False, is_folded=is_folded)
            steps, _ = _steps(engine, wanted)
            neighbours = {s.step_id: s for s in steps}
            inner = History(child, steps, neighbours, {}, history.now, is_part=False)
            for part in _arranged(inner, is_folded=is_folded):
                if part.kind != "end":
                    yield replace(part, level=1)


def _limits(rows: Sequence[Row], history: History) -> tuple[datetime, datetime]:
    """The time that the axis covers: from creation to the end or now; of a part, that of its steps."""
    workflow = history.workflow
    left_out = ("child", "attempt") if history.is_part else ("child",)
    shown = [row for row in rows if row.kind not in left_out and row.spans]
    begins = [span.begin for row in shown for span in row.spans]
    ends = [span.end or history.now for row in shown for span in row.spans]
    if history.is_part and shown:
        return min(begins), max(ends)
    end = workflow.finished_at or history.now
    return min((workflow.created_at, *begins)), max((end, workflow.created_at, *ends))


def _sentences(engine: Engine, workflow_id: str) -> list[str]:
    (row,) = engine.rows(insight_calls.explain_workflow(workflow_id=workflow_id))
    return [fact["sentence"] for fact in json.loads(row.facts)]
