"""Ticks over a virtual time: none double, none missed beyond what the schedule says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pyengine.testing import _original_now, _replace_now
from tests.schedules.simulation import Simulation, expected
from tests.schedules.wall_clock import ticks, utc

BERLIN, LORD_HOWE, NEW_YORK = "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"
SCHEDULES = [
    ("30 2 * * *", BERLIN, "skip", 60),
    ("*/30 2 * * sat,sun", BERLIN, "all", 60),
    ("15 2 * * *", LORD_HOWE, "all", 0),
    ("*/15 1,2 * * sun", LORD_HOWE, "last", 60),
    ("0 */8 * * *", NEW_YORK, "skip", 1800),
    ("30 1 * * *", NEW_YORK, "last", 300),
    ("0 0 1 * *", "UTC", "all", 60),
    ("0 12 * * mon-fri", BERLIN, "skip", 60),
]


@pytest.fixture
def virtual(engine_url: str, sql: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an empty engine; its clock is put right afterwards."""
    yield sql
    _replace_now(sql, "pyengine", _original_now())


def simulate(
    url: str,
    connection: psycopg.Connection[Any],
    start: datetime,
    end: datetime,
    *,
    outages: float,
    stops: float,
) -> None:
    simulation = Simulation(url, connection, random.Random(start.year), start)
    try:
        simulation.prepare(
            [
                {
                    "schedule_name": f"s{number}",
                    "schedule": cron,
                    "cron_timezone": zone,
                    "catch_up": catch_up,
                    "grace_seconds": grace,
                }
                for number, (cron, zone, catch_up, grace) in enumerate(SCHEDULES)
            ],
            process_count=8,
        )
        simulation.run(end, outages=outages, stops=stops)
    finally:
        simulation.close()

    for number, (cron, zone, catch_up, grace) in enumerate(SCHEDULES):
        due = list(ticks(cron, zone, start, simulation.now))
        wanted = expected(due, simulation.served[f"s{number}"], catch_up, timedelta(seconds=grace))
        assert wanted
        # Of the workflows, not of the ticks that are noted: old ones are forgotten.
        query = """
            select (w.inputs #>> '{positionalArgs,0}')::timestamptz from pyengine.workflows w
            where w.schedule_name = %s order by 1
        """
        fired = [tick for (tick,) in connection.execute(query, [f"s{number}"])]
        assert fired == wanted, (cron, zone, catch_up)
    assert min(simulation.stops, simulation.outages, simulation.together) > 0


@pytest.mark.parametrize(
    ("start", "end"),
    [(utc(2026, 3, 25), utc(2026, 4, 8)), (utc(2026, 9, 28), utc(2026, 11, 3))],
    ids=["spring", "autumn"],
)
def test_the_ticks_of_some_weeks_with_changes_of_the_clock(
    engine_url: str, virtual: psycopg.Connection[Any], start: datetime, end: datetime
) -> None:
    simulate(engine_url, virtual, start, end, outages=0.1, stops=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("year", range(2026, 2036))
def test_the_ticks_of_ten_years(
    engine_url: str, virtual: psycopg.Connection[Any], year: int
) -> None:
    start, end = utc(year, 1, 1), utc(year + 1, 1, 1)
    simulate(engine_url, virtual, start, end, outages=0.01, stops=0.02)
