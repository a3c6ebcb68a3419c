"""Years of schedules in minutes: processes that plan and fire as in life, under a clock that the test sets.

Each process is the engine's own scheduler with its own connection and its own thread. The test decides which of them
act at a moment, and some are stopped in the middle: between two of their statements, for as long as it likes. Others
are killed there or within a statement, and replaced; schedules are paused and resumed; all processes are away for days.
"""

from __future__ import annotations

import queue
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from pyengine.testing import _replace_now
from tests.schedules.process import DEATHS, STATEMENTS, WORKFLOW, Process

_PREPARE = """
drop schema if exists pyengine_simulation cascade;
create schema pyengine_simulation;
create table pyengine_simulation.clock (moment timestamptz);
create table pyengine_simulation.fired (schedule_name text, tick timestamptz)
"""
_CLOCK = """
    create or replace function pyengine.now() returns timestamptz language sql volatile
    as $$ select c.moment from pyengine_simulation.clock c $$;
"""
# The workflows are noted and removed. So a tick that is fired once more makes a second one: no id is in its way.
_NOTE = """
with removed as (delete from pyengine.workflows returning schedule_name, inputs)
insert into pyengine_simulation.fired
select r.schedule_name, (r.inputs #>> '{positionalArgs,0}')::timestamptz from removed r
"""
_STATE = """
select schedule_name, status = 'ACTIVE', next_due_at > %(now)s, plan_at <= %(now)s from pyengine.schedules
"""
_STEPS_BETWEEN_NOTES = 100


@dataclass(frozen=True)
class Rates:
    """How often something goes wrong: outages and pauses by the step, stops and deaths by the act of a process."""

    outages: float
    stops: float
    deaths: float
    pauses: float


@dataclass
class Simulation:
    """What happens from `now` on.

    `served` are the moments at which all was done that a schedule needed. A schedule needs its next tick to be known.
    While a process is stopped that was about to compute it, it may be left alone for half a minute. `resumed` are the
    moments at which a schedule was resumed after a pause, and `counts` is what happened.
    """

    url: str
    connection: psycopg.Connection[Any]
    rng: random.Random
    now: datetime
    rates: Rates
    served: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    resumed: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    processes: list[Process] = field(default_factory=list)
    events: queue.Queue[Process] = field(default_factory=queue.Queue)
    _paused_until: dict[str, datetime] = field(default_factory=dict)
    _names: list[str] = field(default_factory=list)

    def prepare(self, schedules: Sequence[Mapping[str, Any]], process_count: int) -> None:
        """Set the clock, register the processes and create the schedules."""
        self.connection.execute(_PREPARE)
        self.connection.execute("insert into pyengine_simulation.clock values (%s)", [self.now])
        _replace_now(self.connection, "pyengine", _CLOCK)
        self.processes = [self._process() for _ in range(process_count)]
        for schedule in schedules:
            given = {"workflow_name": WORKFLOW, "application_name": "app", **schedule}
            names = ", ".join(f"{name} => %({name})s" for name in given)
            self.connection.execute(f"select pyengine.create_schedule({names})".encode(), given)
            self._names.append(schedule["schedule_name"])

    def run(self, end: datetime) -> None:
        """Let time pass, from tick to tick."""
        # A thread for each process, also while those that were killed end.
        with ThreadPoolExecutor(2 * len(self.processes)) as threads:
            self._serve(threads)
            while self.now < end:
                self._pass_time(end)
                self._go_on()
                self._pause_and_resume()
                self._serve(threads)
                self.counts["steps"] += 1
                if self.counts["steps"] % _STEPS_BETWEEN_NOTES == 0:
                    self.connection.execute(_NOTE)
            self._end(threads)

    def _end(self, threads: ThreadPoolExecutor) -> None:
        """Nothing goes wrong any more."""
        self.rates = Rates(0, 0, 0, 0)
        for process in self.processes:
            if process.is_stopped:
                process.go_on()
                self.events.get(timeout=60)
        for name in list(self._paused_until):
            self._resume(name)
        self._serve(threads)
        self.connection.execute(_NOTE)

    def fired(self, schedule_name: str) -> list[datetime]:
        """The ticks for which workflows were started, in order."""
        query = "select tick from pyengine_simulation.fired where schedule_name = %s order by 1"
        return [tick for (tick,) in self.connection.execute(query, [schedule_name])]

    def close(self) -> None:
        for process in self.processes:
            process.close()

    def _process(self) -> Process:
        return Process(self.url, self.connection, self.events)

    def _pass_time(self, end: datetime) -> None:
        """To the next moment at which a process would wake up, or to some time after an outage."""
        query = """
            select min(t) from pyengine.schedules s, unnest(array[s.next_due_at, s.plan_at]) t
            where s.status = 'ACTIVE' and t > %s
        """
        ((due,),) = self.connection.execute(query, [self.now]).fetchall()
        moment: datetime = min([end if due is None else due, *self._paused_until.values()])
        moment = max(moment, self.now)
        if self.rng.random() < self.rates.outages:
            self.counts["outages"] += 1
            moment += timedelta(
                seconds=self.rng.choice((45, 90, 3600, 86400, 700000)) * self.rng.random()
            )
        self.now = moment + timedelta(seconds=self.rng.choice((0, 0.4, 3)) * self.rng.random())
        self.connection.execute("update pyengine_simulation.clock set moment = %s", [self.now])

    def _go_on(self) -> None:
        """Of the processes that are stopped some go on and some are killed."""
        for process in self.processes:
            if process.is_stopped and self.rng.random() < 0.2:
                process.kill() if self.rng.random() < self.rates.deaths else process.go_on()
                assert self.events.get(timeout=60) is process
        self._replace_dead()

    def _replace_dead(self) -> None:
        for place, process in enumerate(self.processes):
            if process.is_dead:
                self.counts["deaths"] += 1
                self.processes[place] = self._process()

    def _pause_and_resume(self) -> None:
        for name in [name for name, until in self._paused_until.items() if until <= self.now]:
            self._resume(name)
        if self.rng.random() < self.rates.pauses:
            name = self.rng.choice(self._names)
            if name not in self._paused_until:
                self.counts["pauses"] += 1
                self.connection.execute("select pyengine.pause_schedule(%s)", [name])
                seconds = self.rng.choice((60, 5000, 200_000, 2_000_000)) * self.rng.random()
                self._paused_until[name] = self.now + timedelta(seconds=seconds)

    def _resume(self, name: str) -> None:
        del self._paused_until[name]
        self.resumed[name].append(self.now)
        self.connection.execute("select pyengine.resume_schedule(%s)", [name])

    def _serve(self, threads: ThreadPoolExecutor) -> None:
        """Let processes act until nothing is due; at least one of them is never stopped."""
        while True:
            self._act(threads)
            state = self.connection.execute(_STATE, {"now": self.now}).fetchall()
            active = [row for row in state if row[1]]
            # Due, or to be planned first.
            if not any(known is False or (known is None and plan) for _, _, known, plan in active):
                for name, _, known, _ in active:
                    if known:
                        self.served[name].append(self.now)
                return

    def _act(self, threads: ThreadPoolExecutor) -> None:
        free = [process for process in self.processes if not process.is_stopped]
        acting = self.rng.sample(free, min(len(free), self.rng.choice((1, 1, 2, 3))))
        self.counts["together"] += len(acting) > 1
        for process in acting:
            if len(free) > 2 and self.rng.random() < self.rates.stops:
                process.stops_before = self.rng.choice(("plan_schedule", "fire_schedules"))
            elif self.rng.random() < self.rates.deaths:
                process.dies_at = self.rng.choice(STATEMENTS), self.rng.choice(DEATHS)
            process.begin(threads)
        for _ in acting:
            process = self.events.get(timeout=60)
            self.counts["stops"] += process.is_stopped
        for process in acting:
            process.stops_before = process.dies_at = None
            if not process.is_stopped and process.run is not None:
                process.run.result(timeout=60)
        self._replace_dead()


def expected(
    ticks: Sequence[datetime],
    served: Sequence[datetime],
    catch_up: str,
    grace: timedelta,
    resumed: Sequence[datetime] = (),
) -> list[datetime]:
    """Which ticks are fired when the processes act at these moments only.

    Under skip, what became due before a schedule is resumed is gone.
    """
    fired: list[datetime] = []
    position = 0
    resumes = sorted(resumed) if catch_up == "skip" else []
    for moment in served:
        due: list[datetime] = []
        while position < len(ticks) and ticks[position] <= moment:
            due.append(ticks[position])
            position += 1
        while resumes and resumes[0] <= moment:
            gone_until = resumes.pop(0)
            due = [tick for tick in due if tick > gone_until]
        in_time = [tick for tick in due if tick >= moment - grace]
        if catch_up == "all":
            fired += due
        elif catch_up == "last" and not in_time:
            fired += due[-1:]
        else:
            fired += in_time
    return fired
