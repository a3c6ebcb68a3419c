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

from pyengine.database.connections import AsyncStepConnection, StepConnection
from pyengine.database.session import Session
from pyengine.runtime.transactions import Attempt

EXIT_CODE = 137
_FUNCTION = re.compile(r"(?:select|from) [\w\"]+\.(\w+)\(")


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
    """The SQL function that a statement calls, or its first word."""
    match = _FUNCTION.search(text)
    return match.group(1) if match else text.split(maxsplit=1)[0]


class _Trips:
    """Counts the calls of the process and ends it at the chosen one."""

    def __init__(self, crash: Crash | None, seen: Callable[[str], None]) -> None:
        self._crash = crash
        self._seen = seen
        self._counts: Counter[str] = Counter()

    def begin(self, text: str) -> bool:
        """A statement is about to be sent: True when the process is to die as soon as it is answered."""
        function = function_of(text)
        self._counts[function] += 1
        self._seen(function)
        crash = self._crash
        if crash is None or (crash.function, crash.nth) != (function, self._counts[function]):
            return False
        if not crash.after:
            os._exit(EXIT_CODE)
        return True

    def around(self, method: Callable[..., Any], text: Callable[..., str]) -> Callable[..., Any]:
        """A blocking method with the crash around it; `text` says from its arguments what it sends."""

        def crashing(*args: Any, **keys: Any) -> Any:
            dies = self.begin(text(*args))
            result = method(*args, **keys)
            if dies:
                os._exit(EXIT_CODE)
            return result

        return crashing

    def around_async(
        self, method: Callable[..., Any], text: Callable[..., str]
    ) -> Callable[..., Any]:
        """As `around`, of a coroutine."""

        async def crashing(*args: Any, **keys: Any) -> Any:
            dies = self.begin(text(*args))
            result = await method(*args, **keys)
            if dies:
                os._exit(EXIT_CODE)
            return result

        return crashing


def install(crash: Crash | None, seen: Callable[[str], None]) -> None:
    """Wrap the connections of this process: `seen` is told of each call, and the process dies where `crash` says.

    The checkpoint of a transactional step and its commit are one trip, named commit.
    """
    trips = _Trips(crash, seen)
    start = Session.start

    def crashing_start(
        self: Session, loop: asyncio.AbstractEventLoop, text: str, parameters: Any, done: Any
    ) -> None:
        dies = trips.begin(text)

        def crashing_done(rows: Any, error: BaseException | None) -> None:
            if dies:
                os._exit(EXIT_CODE)
            done(rows, error)

        start(self, loop, text, parameters, crashing_done)

    def sent(_: object, text: str | bytes, *__: object) -> str:
        return text.decode() if isinstance(text, bytes) else text

    def commit(*_: object) -> str:
        return "commit"

    wrapped: list[tuple[Any, str, Any]] = [
        (Session, "start", crashing_start),
        (Session, "execute", trips.around(Session.execute, sent)),
        (StepConnection, "execute", trips.around(StepConnection.execute, sent)),
        (Attempt, "_store", trips.around(Attempt._store, commit)),
        (AsyncStepConnection, "execute", trips.around_async(AsyncStepConnection.execute, sent)),
        (Attempt, "_store_async", trips.around_async(Attempt._store_async, commit)),
    ]
    for owner, name, method in wrapped:
        setattr(owner, name, method)


def report_writes(tell: Callable[[str, str], None]) -> None:
    """Wrap the connections of this process: `tell(function, outcome)` is told of each write of a run."""
    execute, start, store = Session.execute, Session.start, Attempt._store

    def report(text: str, rows: Any, error: BaseException | None) -> None:
        function = function_of(text)
        if function in ("record_steps", "finish_workflows"):
            tell(function, "stored" if not rows else str(rows[0][1]))
        elif function == "start_workflows":
            tell(function, str(rows[0][1]) if rows else "stored")
        elif function == "check_lease":
            tell(function, error.sqlstate or "lost" if isinstance(error, Error) else "held")

    def reporting_execute(self: Session, text: str, parameters: Any) -> Any:
        try:
            rows = execute(self, text, parameters)
        except Error as error:
            report(text, None, error)
            raise
        report(text, rows, None)
        return rows

    def reporting_start(
        self: Session, loop: asyncio.AbstractEventLoop, text: str, parameters: Any, done: Any
    ) -> None:
        def reporting_done(rows: Any, error: BaseException | None) -> None:
            report(text, rows, error)
            done(rows, error)

        start(self, loop, text, parameters, reporting_done)

    def reporting_store(self: Attempt, *arguments: Any) -> None:
        try:
            store(self, *arguments)
        except Error as error:
            tell("commit", error.sqlstate or "lost")
            raise
        tell("commit", "stored")

    Session.execute = reporting_execute  # type: ignore[method-assign]
    Session.start = reporting_start  # type: ignore[method-assign]
    Attempt._store = reporting_store  # type: ignore[assignment, method-assign]
