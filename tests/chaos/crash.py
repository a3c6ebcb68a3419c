"""Crashes at a chosen round trip of the engine, in the process that installs them."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import Error

from pyengine.database.session import Session

EXIT_CODE = 137
_FUNCTION = re.compile(r"\.(\w+)\(")


@dataclass(frozen=True)
class Crash:
    """Die at the nth call of an SQL function: before it is sent, or when its reply arrives, which nobody sees."""

    function: str
    nth: int
    after: bool

    @classmethod
    def parse(cls, text: str) -> Crash:
        """Read the form "record_steps#2:before"."""
        function, nth, moment = re.split("[#:]", text)
        return cls(function, int(nth), after=moment == "after")

    def __str__(self) -> str:
        return f"{self.function}#{self.nth}:{'after' if self.after else 'before'}"


def function_of(text: str) -> str:
    """The SQL function that a statement of the engine calls."""
    match = _FUNCTION.search(text)
    return match.group(1) if match else text


def install(crash: Crash | None, seen: Callable[[str], None]) -> None:
    """Wrap the sessions of this process: `seen` is told of each call, and the process dies where `crash` says."""
    counts: Counter[str] = Counter()
    execute, start = Session.execute, Session.start

    def about_to_call(text: str) -> bool:
        """Whether the process dies when the reply of this call arrives."""
        function = function_of(text)
        counts[function] += 1
        seen(function)
        if crash is None or (crash.function, crash.nth) != (function, counts[function]):
            return False
        if not crash.after:
            os._exit(EXIT_CODE)
        return True

    def crashing_execute(self: Session, text: str, parameters: Any) -> Any:
        dies = about_to_call(text)
        rows = execute(self, text, parameters)
        if dies:
            os._exit(EXIT_CODE)
        return rows

    def crashing_start(
        self: Session, loop: asyncio.AbstractEventLoop, text: str, parameters: Any, done: Any
    ) -> None:
        dies = about_to_call(text)

        def crashing_done(rows: Any, error: BaseException | None) -> None:
            if dies:
                os._exit(EXIT_CODE)
            done(rows, error)

        start(self, loop, text, parameters, crashing_done)

    Session.execute = crashing_execute  # type: ignore[method-assign]
    Session.start = crashing_start  # type: ignore[assignment, method-assign]


def report_refusals(refused: Callable[[str], None]) -> None:
    """Wrap the sessions of this process: `refused` is told of each write that was refused, by its code."""
    execute = Session.execute

    def reporting_execute(self: Session, text: str, parameters: Any) -> Any:
        try:
            rows = execute(self, text, parameters)
        except Error as error:
            if (error.sqlstate or "").startswith("PE"):
                refused(f"{function_of(text)} {error.sqlstate}")
            raise
        if function_of(text) in ("record_steps", "finish_workflows"):
            for row in rows:
                refused(f"{function_of(text)} {row[1]}")
        return rows

    Session.execute = reporting_execute  # type: ignore[method-assign]
