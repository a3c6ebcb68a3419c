"""Ticks over a virtual time: none double, none missed beyond what the schedule says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import MagicMock

import psycopg
import pytest

from pyengine.testing import _original_now, _replace_now
from tests.schedules.catalogue import Verdict, simulate
from tests.schedules.simulation import Rates, Simulation, expected
from tests.schedules.wall_clock import utc


@pytest.fixture
def virtual(engine_url: str, sql: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an empty engine; its clock is put right afterwards."""
    yield sql
    _replace_now(sql, "pyengine", _original_now())


@pytest.mark.parametrize(
    ("start", "end"),
    [(utc(2026, 3, 25), utc(2026, 4, 8)), (utc(2026, 9, 25), utc(2026, 11, 3))],
    ids=["spring", "autumn"],
)
def test_the_ticks_of_some_weeks_with_changes_of_the_clock(
    engine_url: str, virtual: psycopg.Connection[Any], start: datetime, end: datetime
) -> None:
    rates = Rates(outages=0.05, stops=0.1, deaths=0.1, pauses=0.02)

    verdict = simulate(engine_url, virtual, start, end, rates=rates, seed=start.month)

    assert (verdict.doubled, verdict.missed, verdict.unwanted) == ([], [], [])
    happened = verdict.simulation.counts
    assert min(verdict.fired, verdict.changes) > 0
    assert all(happened[name] for name in ("outages", "stops", "deaths", "pauses", "together"))


FIRST, SECOND, THIRD = (utc(2026, 1, day) for day in (1, 2, 3))


@pytest.mark.parametrize(
    ("catch_up", "wanted"),
    [("skip", [THIRD]), ("last", [THIRD]), ("all", [FIRST, SECOND, THIRD])],
)
def test_what_was_missed_is_what_the_schedule_says(catch_up: str, wanted: list[datetime]) -> None:
    ticks = [FIRST, SECOND, THIRD]

    assert expected(ticks, [THIRD], catch_up, timedelta(minutes=1)) == wanted


def test_what_is_in_time_at_the_end_of_a_pause_is_gone_under_skip() -> None:
    later = THIRD + timedelta(seconds=1)

    found = expected([THIRD], [later], "skip", timedelta(minutes=1), resumed=[later])

    assert found == []


def test_a_verdict_tells_ticks_that_are_double_missed_and_none() -> None:
    verdict = Verdict(Simulation("", MagicMock(), random.Random(1), FIRST, Rates(0, 0, 0, 0)))

    verdict.judge("daily", wanted=[FIRST, SECOND], fired=[FIRST, FIRST, THIRD])

    assert verdict.doubled == [("daily", FIRST)]
    assert verdict.missed == [("daily", SECOND)]
    assert verdict.unwanted == [("daily", THIRD)]
