"""A process of the simulation: the engine's own scheduler, to be stopped and killed between and in its statements."""

from __future__ import annotations

import queue
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any, Literal

import psycopg

from pyengine.database.calls import Call
from pyengine.database.session import Session
from pyengine.runtime.scheduler import Scheduler

WORKFLOW = "tick"
STATEMENTS = ("claim_unplanned_schedules", "plan_schedule", "fire_schedules")
Death = Literal["before", "within", "after"]
DEATHS: tuple[Death, ...] = ("before", "within", "after")


class KilledError(BaseException):
    """What ends a process that is killed; no code of the engine's catches it."""


class Process:
    """One scheduler. It stands in for its own gateway, so it can be stopped and killed at any of its statements."""

    def __init__(
        self, url: str, connection: psycopg.Connection[Any], events: queue.Queue[Process]
    ) -> None:
        register = """select pyengine.register_executor(
            name => %s, application_name => 'app', application_version => '1', version_is_pinned => false,
            functions => %s, channel => %s, lease_seconds => 60)"""
        name = str(uuid.uuid4())
        ((self.executor_id,),) = connection.execute(register, [name, [WORKFLOW], name]).fetchall()
        self._session = Session.connect(url, application_name="simulation")
        self._scheduler = Scheduler(self)  # type: ignore[arg-type]
        self._events = events
        self._go_on = Event()
        self.stops_before: str | None = None
        self.dies_at: tuple[str, Death] | None = None
        self.is_stopped = False
        self.is_dead = False
        self.run: Future[Any] | None = None

    def run_own(self, call: Call[Any]) -> Any:
        """Perform a call, as the gateway does."""
        if call.function == self.stops_before:
            self.stops_before = None
            self.is_stopped = True
            self._events.put(self)
            assert self._go_on.wait(600)
            self._go_on.clear()
            if self.is_dead:
                raise KilledError
        if self.dies_at is not None and call.function == self.dies_at[0]:
            self._die(call, self.dies_at[1])
        return self._session.call(call, "pyengine")

    def _die(self, call: Call[Any], when: Death) -> None:
        """With its statement unsent, not committed, or committed without anybody who knows."""
        if when == "within":
            self._session.execute("begin", [])
        if when != "before":
            self._session.call(call, "pyengine")
        self.is_dead = True
        raise KilledError

    def begin(self, threads: ThreadPoolExecutor) -> None:
        """Act once, until the end, a stop or its death; each is an event."""

        def act() -> None:
            try:
                self._scheduler.work()
            except KilledError:
                self.close()
            finally:
                self._events.put(self)

        self.run = threads.submit(act)

    def go_on(self) -> None:
        """Carry on where it was stopped."""
        self.is_stopped = False
        self._go_on.set()

    def kill(self) -> None:
        """End it where it was stopped."""
        self.is_dead = True
        self.go_on()

    def close(self) -> None:
        self._session.close()
