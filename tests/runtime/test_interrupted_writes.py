"""A thread that is interrupted in the middle of a write, wherever that is, holds nobody else up."""

from __future__ import annotations

import functools
import linecache
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import psycopg
import pytest

from pyengine.current import get_runtime
from pyengine.database import calls
from pyengine.runtime import gateway
from tests.workflows.support import PATIENCE_SECONDS, eventually

_INTERRUPTIBLE = frozenset(
    ("submit", "lead", "wait", "resolve", "_hand_over", "_take_out", "_is_first")
)
_ENOUGH = 400


class Interruption:
    """Raises KeyboardInterrupt where a thread begins the n-th line of the group commit."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Any:
        code = frame.f_code
        if code.co_filename != gateway.__file__ or code.co_name not in _INTERRUPTIBLE:
            return None
        # Python itself is not interrupted while it enters or leaves a block.
        is_block = linecache.getline(code.co_filename, frame.f_lineno).lstrip().startswith("with ")
        if event == "line" and self.left and not is_block:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
        return self

    @property
    def has_happened(self) -> bool:
        return not self.left


class Writer(threading.Thread):
    """A thread that enqueues one workflow."""

    def __init__(self, workflow_id: str, interruption: Interruption | None = None) -> None:
        super().__init__(daemon=True)
        self.workflow_id = workflow_id
        self.is_interrupted = False
        self._interruption = interruption

    def write(self) -> calls.Write:
        return calls.start(
            workflow_id=self.workflow_id,
            name="f",
            inputs="[]",
            serialization="json",
            application_name="nobody",
            application_version=None,
            version_is_pinned=False,
        )

    def run(self) -> None:
        write = self.write()
        sys.settrace(self._interruption)
        try:
            lane().submit(write)
        except KeyboardInterrupt:
            self.is_interrupted = True
        finally:
            sys.settrace(None)


def lane() -> gateway.ThreadLane:
    return get_runtime("the test").engine.drivers.gateway._threads


def waiting() -> int:
    return len(lane()._pending)


def is_in_line(writer: Writer, position: int) -> bool:
    """Whether a writer waits behind so many, or no longer."""
    return waiting() >= position or not writer.is_alive()


def finish(writers: list[Writer]) -> list[str]:
    """Wait for writers; the ids of those that hang."""
    for writer in writers:
        writer.join(PATIENCE_SECONDS)
    return [writer.workflow_id for writer in writers if writer.is_alive()]


def stored(sql: psycopg.Connection[Any]) -> set[str]:
    return {row[0] for row in sql.execute("select workflow_id from pyengine.workflows").fetchall()}


def at_each_line(interrupt: Callable[[Interruption, str], bool]) -> int:
    """Interrupt at the first line, the second …, until a thread is through before; the number of lines."""
    for line in range(1, _ENOUGH):
        if not interrupt(Interruption(line), f"{line}"):
            return line - 1
    raise AssertionError("there is no end to the lines")


def test_a_writer_alone(dbos: Any, sql: psycopg.Connection[Any]) -> None:
    def interrupt(interruption: Interruption, name: str) -> bool:
        first = Writer(f"first {name}", interruption)
        first.start()
        assert finish([first]) == []
        after = Writer(f"after {name}")
        after.start()
        assert finish([after]) == [], f"line {name} leaves the lane locked"
        assert after.workflow_id in stored(sql)
        assert first.is_interrupted or first.workflow_id in stored(sql)
        return interruption.has_happened

    assert at_each_line(interrupt) > 10


@pytest.mark.parametrize("interrupted", ["the one that leads", "one that waits"])
def test_a_writer_among_others(
    dbos: Any, sql: psycopg.Connection[Any], engine_url: str, interrupted: str
) -> None:
    leads = interrupted == "the one that leads"

    def interrupt(interruption: Interruption, name: str) -> bool:
        first = Writer(f"first {name}", interruption if leads else None)
        second = Writer(f"second {name}", None if leads else interruption)
        third = Writer(f"third {name}")
        with psycopg.connect(engine_url) as holder:
            holder.execute(
                "select * from pyengine.start_workflows(requests => %s)", [first.write().document]
            )
            first.start()
            eventually(lambda: lane()._leader is not None or not first.is_alive())
            for writer in (second, third):
                before = waiting()
                writer.start()
                eventually(functools.partial(is_in_line, writer, before + 1))
            holder.rollback()
        assert finish([first, second, third]) == [], f"line {name} holds others up"
        there = stored(sql)
        assert all(
            writer.is_interrupted or writer.workflow_id in there
            for writer in (first, second, third)
        )
        after = Writer(f"after {name}")
        after.start()
        assert finish([after]) == [], f"line {name} leaves the lane locked"
        return interruption.has_happened

    assert at_each_line(interrupt) > 10
