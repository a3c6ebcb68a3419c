"""Years of schedules in minutes: processes that plan and fire as in life, under a clock that the test sets.

Each process is the engine's own scheduler with its own connection and its own thread. The test decides which of them
act at a moment, and some are stopped in the middle: between two of their statements, for as long as it likes.
"""

from __future__ import annotations

import queue
import random
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import psycopg

from pyengine.database.calls import Call
from pyengine.database.session import Session
from pyengine.runtime.scheduler import Scheduler
from pyengine.testing import _replace_now

WORKFLOW = "tick"
_CLOCK = """
    create or replace function pyengine.now() returns timestamptz language sql volatile
    as $$ select c.moment from pyengine_simulation.clock c $$;
"""


class Process:
    """One scheduler. It stands in for its own gateway, so that it can be stopped between two statements."""

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
        self.is_stopped = False
        self.run: Future[Any] | None = None

    def run_own(self, call: Call[Any]) -> Any:
        """Perform a call, as the gateway does."""
        if call.function == self.stops_before:
            self.stops_before = None
            self.is_stopped = True
            self._events.put(self)
            assert self._go_on.wait(600)
            self._go_on.clear()
        return self._session.call(call, "pyengine")

    def begin(self, threads: ThreadPoolExecutor) -> None:
        """Act once, until the end or a stop; either is an event."""

        def act() -> None:
            try:
                self._scheduler.work()
            finally:
                self._events.put(self)

        self.run = threads.submit(act)

    def go_on(self) -> None:
        """Carry on where it was stopped."""
        self.is_stopped = False
        self._go_on.set()

    def close(self) -> None:
        self._session.close()


@dataclass
class Simulation:
    """What happens from `now` on. `served` are the moments at which all was done that a schedule needed.

    A schedule needs its next tick to be known. While a process is stopped that was about to compute it, it may be left
    alone for half a minute.
    """

    url: str
    connection: psycopg.Connection[Any]
    rng: random.Random
    now: datetime
    served: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    stops: int = 0
    outages: int = 0
    together: int = 0
    processes: list[Process] = field(default_factory=list)
    events: queue.Queue[Process] = field(default_factory=queue.Queue)

    def prepare(self, schedules: Sequence[Mapping[str, Any]], process_count: int) -> None:
        """Set the clock, register the processes and create the schedules."""
        self.connection.execute("create schema if not exists pyengine_simulation")
        self.connection.execute("drop table if exists pyengine_simulation.clock")
        self.connection.execute("create table pyengine_simulation.clock (moment timestamptz)")
        self.connection.execute("insert into pyengine_simulation.clock values (%s)", [self.now])
        _replace_now(self.connection, "pyengine", _CLOCK)
        self.processes = [
            Process(self.url, self.connection, self.events) for _ in range(process_count)
        ]
        for schedule in schedules:
            given = {"workflow_name": WORKFLOW, "application_name": "app", **schedule}
            names = ", ".join(f"{name} => %({name})s" for name in given)
            self.connection.execute(f"select pyengine.create_schedule({names})".encode(), given)

    def run(self, end: datetime, *, outages: float, stops: float) -> None:
        """Let time pass: from tick to tick, with outages of all processes, and stops of single ones."""
        with ThreadPoolExecutor(len(self.processes)) as threads:
            self._serve(threads, stops)
            while self.now < end:
                self._pass_time(end, outages)
                for process in self.processes:
                    if process.is_stopped and self.rng.random() < 0.2:
                        process.go_on()
                        assert self.events.get(timeout=60) is process
                self._serve(threads, stops)
            for process in self.processes:
                if process.is_stopped:
                    process.go_on()
                    self.events.get(timeout=60)
            self._serve(threads, 0)

    def close(self) -> None:
        for process in self.processes:
            process.close()

    def _pass_time(self, end: datetime, outages: float) -> None:
        """To the next moment at which a process would wake up, or to some time after an outage."""
        query = """
            select min(t) from pyengine.schedules s, unnest(array[s.next_due_at, s.plan_at]) t where t > %s
        """
        ((due,),) = self.connection.execute(query, [self.now]).fetchall()
        moment: datetime = due if due is not None else end
        if self.rng.random() < outages:
            self.outages += 1
            moment += timedelta(
                seconds=self.rng.choice((45, 90, 3600, 86400, 700000)) * self.rng.random()
            )
        self.now = moment + timedelta(seconds=self.rng.choice((0, 0.4, 3)) * self.rng.random())
        self.connection.execute("update pyengine_simulation.clock set moment = %s", [self.now])

    def _serve(self, threads: ThreadPoolExecutor, stops: float) -> None:
        """Let processes act until nothing is due; at least one of them is never stopped."""
        while True:
            free = [process for process in self.processes if not process.is_stopped]
            acting = self.rng.sample(free, min(len(free), self.rng.choice((1, 1, 2, 3))))
            self.together += len(acting) > 1
            for process in acting:
                if len(free) > 2 and self.rng.random() < stops:
                    process.stops_before = self.rng.choice(("plan_schedule", "fire_schedules"))
                process.begin(threads)
            for _ in acting:
                process = self.events.get(timeout=60)
                self.stops += process.is_stopped
            for process in acting:
                process.stops_before = None
                if not process.is_stopped and process.run is not None:
                    process.run.result(timeout=60)
            rows = self.connection.execute(
                "select schedule_name, next_due_at > %(now)s, plan_at <= %(now)s from pyengine.schedules",
                {"now": self.now},
            ).fetchall()
            # Due, or to be planned first.
            if not any(
                is_known is False or (is_known is None and can_plan)
                for _, is_known, can_plan in rows
            ):
                for name, is_known, _ in rows:
                    if is_known:
                        self.served[name].append(self.now)
                return


def expected(
    ticks: Sequence[datetime], served: Sequence[datetime], catch_up: str, grace: timedelta
) -> list[datetime]:
    """Which ticks are fired when the processes act at these moments only."""
    fired: list[datetime] = []
    position = 0
    for moment in served:
        due: list[datetime] = []
        while position < len(ticks) and ticks[position] <= moment:
            due.append(ticks[position])
            position += 1
        in_time = [tick for tick in due if tick >= moment - grace]
        if catch_up == "all":
            fired += due
        elif catch_up == "last" and not in_time:
            fired += due[-1:]
        else:
            fired += in_time
    return fired
