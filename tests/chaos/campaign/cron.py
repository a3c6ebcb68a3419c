"""Schedules over years: eight schedulers under a virtual clock, in zones whose clocks are changed.

Processes are stopped and killed between and in their statements, all of them are away for hours and days, and schedules
are paused and resumed. The ticks that were fired are held against a walk through the time that looks at the clock on
the wall (tests/schedules/wall_clock.py).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import psycopg

from pyengine import schema
from tests.chaos.campaign.deadlocks import Deadlocks
from tests.chaos.campaign.report import Report
from tests.fix_server import PrivateServer, server_directory
from tests.schedules.catalogue import ENTRIES, Verdict, simulate
from tests.schedules.simulation import Rates
from tests.schedules.wall_clock import utc

NAME = "cron"
FAULT = "F-44 I-36"
FIRST_YEAR = 2026
SCHEDULERS = 8
RATES = Rates(outages=0.01, stops=0.02, deaths=0.02, pauses=0.005)
SOMETIMES = ("outages", "stops", "deaths", "pauses", "together")


@dataclass
class CronReport(Report):
    """Its figures are those of ticks."""

    years: int = 0
    ticks: int = 0
    doubled: int = 0
    missed_ticks: int = 0
    unwanted: int = 0
    changes: int = 0

    def take(self, verdict: Verdict) -> None:
        """Take over what came of the simulation."""
        self.ticks, self.changes = verdict.fired, verdict.changes
        self.doubled, self.missed_ticks = len(verdict.doubled), len(verdict.missed)
        self.unwanted = len(verdict.unwanted)
        for check, found in (
            ("I-36 no tick is fired twice", verdict.doubled),
            ("I-36 no tick is missed", verdict.missed),
            ("I-36 no tick is fired that is none", verdict.unwanted),
        ):
            if found:
                self.violations[check] = list(found)
        self.sometimes = {name: verdict.simulation.counts[name] for name in SOMETIMES}
        self.missed = [name for name, count in self.sometimes.items() if not count]

    def line(self) -> str:
        sometimes = " ".join(f"{name}={count}" for name, count in self.sometimes.items())
        return (
            f"{self.fault} {self.campaign} seed={self.seed} years={self.years} schedulers={SCHEDULERS} "
            f"schedules={len(ENTRIES)} clock-changes={self.changes} ticks={self.ticks} doubled={self.doubled} "
            f"missed={self.missed_ticks} unwanted={self.unwanted} deadlocks={self.deadlocks} [{sometimes}]"
        )


def run(seed: int, years: int) -> Report:
    """Let so many years pass."""
    directory = server_directory()
    server = PrivateServer(directory / "server", {"fsync": "off", "autovacuum_naptime": "5s"})
    report = CronReport(NAME, FAULT, seed, years=years)
    start, end = utc(FIRST_YEAR, 1, 1), utc(FIRST_YEAR + years, 1, 1)
    try:
        with psycopg.connect(server.url(), autocommit=True) as session:
            schema.migrate(session)
            report.take(
                simulate(
                    server.url(), session, start, end,
                    rates=RATES, seed=seed, process_count=SCHEDULERS,
                )
            )  # fmt: skip
        deadlocks = Deadlocks()
        deadlocks.read((server.root / "log").glob("*.log"))
        report.count_deadlocks(deadlocks)
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)
    return report
