"""The schedules of the simulation, and what came of them against the clock on the wall."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from tests.schedules.simulation import Rates, Simulation, expected
from tests.schedules.wall_clock import changes, ticks

BERLIN, NEW_YORK, KOLKATA = "Europe/Berlin", "America/New_York", "Asia/Kolkata"
LORD_HOWE, ADELAIDE, AUCKLAND = "Australia/Lord_Howe", "Australia/Adelaide", "Pacific/Auckland"
SANTIAGO, CAIRO, ST_JOHNS = "America/Santiago", "Africa/Cairo", "America/St_Johns"
DUBLIN, KATHMANDU = "Europe/Dublin", "Asia/Kathmandu"


@dataclass(frozen=True)
class Entry:
    """A schedule: most name hours at which their clock is changed."""

    cron: str
    zone: str
    catch_up: str
    grace: int


ENTRIES = (
    Entry("30 2 * * *", BERLIN, "skip", 60),
    Entry("*/30 2 * * sat,sun", BERLIN, "all", 60),
    Entry("15 2 * * *", LORD_HOWE, "all", 0),  # by half an hour
    Entry("*/15 1,2 * * sun", LORD_HOWE, "last", 60),
    Entry("0 */8 * * *", NEW_YORK, "skip", 1800),
    Entry("30 1 * * *", NEW_YORK, "last", 300),
    Entry("0 0 1 * *", "UTC", "all", 60),
    Entry("0 12 * * mon-fri", BERLIN, "skip", 60),
    Entry("*/20 * 2 * 4,9 sun", AUCKLAND, "all", 60),
    Entry("15,45 0,30 2 * 4,9 sun", AUCKLAND, "skip", 3600),
    Entry("* 1-3 * 3,4,10,11 sun", NEW_YORK, "all", 60),
    Entry("*/10 2,3 * * sun", ADELAIDE, "all", 60),
    Entry("0 0 * * *", SANTIAGO, "all", 60),  # at midnight
    Entry("*/30 0,23 * * thu,fri", CAIRO, "skip", 600),
    Entry("*/30 * * * sun", ST_JOHNS, "last", 60),
    Entry("30 1 * * *", DUBLIN, "skip", 60),
    Entry("45 */6 * * *", KOLKATA, "all", 60),
    Entry("0 9 1-7 * mon", KATHMANDU, "all", 60),
    Entry("59 59 23 31 12 *", SANTIAGO, "all", 0),
    Entry("*/10 */4 1-3 * 3,4,10,11 sun", BERLIN, "skip", 60),
)


@dataclass
class Verdict:
    """What came of a simulation: ticks that were fired, and what is wrong with them, each as (schedule, tick)."""

    simulation: Simulation
    wanted: int = 0
    fired: int = 0
    changes: int = 0
    doubled: list[tuple[str, datetime]] = field(default_factory=list)
    missed: list[tuple[str, datetime]] = field(default_factory=list)
    unwanted: list[tuple[str, datetime]] = field(default_factory=list)

    def judge(self, name: str, wanted: list[datetime], fired: list[datetime]) -> None:
        """Hold the ticks of a schedule against those that it should have fired."""
        self.wanted += len(wanted)
        self.fired += len(fired)
        times = Counter(fired)
        self.doubled += [(name, tick) for tick, count in times.items() if count > 1]
        self.missed += [(name, tick) for tick in set(wanted) - times.keys()]
        self.unwanted += [(name, tick) for tick in times.keys() - set(wanted)]


def simulate(
    url: str,
    connection: psycopg.Connection[Any],
    start: datetime,
    end: datetime,
    *,
    rates: Rates,
    seed: int = 1,
    process_count: int = 8,
) -> Verdict:
    """Let the schedules go from start to end over so many processes."""
    names = {f"s{number}": entry for number, entry in enumerate(ENTRIES)}
    with closing(Simulation(url, connection, random.Random(seed), start, rates)) as simulation:
        simulation.prepare(
            [
                {
                    "schedule_name": name,
                    "schedule": entry.cron,
                    "cron_timezone": entry.zone,
                    "catch_up": entry.catch_up,
                    "grace_seconds": entry.grace,
                }
                for name, entry in names.items()
            ],
            process_count,
        )
        simulation.run(end)
    verdict = Verdict(simulation)
    for name, entry in names.items():
        due = list(ticks(entry.cron, entry.zone, start, simulation.now))
        grace = timedelta(seconds=entry.grace)
        served, resumed = simulation.served[name], simulation.resumed[name]
        wanted = expected(due, served, entry.catch_up, grace, resumed)
        verdict.judge(f"{entry.cron} in {entry.zone}", wanted, simulation.fired(name))
    for zone in {entry.zone for entry in ENTRIES}:
        verdict.changes += sum(1 for _ in changes(zone, start, simulation.now))
    return verdict
