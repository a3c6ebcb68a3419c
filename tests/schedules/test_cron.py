"""Cron expressions: what they name, and what changes of the clock mean to them."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyengine.cron import Cron, parse
from tests.schedules.wall_clock import changes, ticks, utc

BERLIN, LORD_HOWE, NEW_YORK = "Europe/Berlin", "Australia/Lord_Howe", "America/New_York"
# Zones whose clocks jump: by an hour, by half an hour, at midnight, over a whole day.
ZONES = [BERLIN, LORD_HOWE, NEW_YORK, "UTC", "Asia/Beirut", "Pacific/Apia", "America/Havana"]


def local(expression: str, zone: str | None, start: datetime, count: int) -> list[str]:
    """The next ticks in ISO 8601."""
    return [
        tick.isoformat() for tick in itertools.islice(Cron(expression, zone).after(start), count)
    ]


def test_a_time_that_the_clock_jumps_over_is_when_it_has_jumped() -> None:
    found = local("30 2 * * *", BERLIN, utc(2026, 3, 28), 3)

    assert found == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_a_time_that_the_clock_shows_twice_is_its_first() -> None:
    found = local("30 2 * * *", BERLIN, utc(2026, 10, 24, 12), 2)

    assert found == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


def test_what_goes_by_the_clock_has_no_tick_in_a_jump_and_each_tick_of_an_hour_that_comes_twice() -> (
    None
):
    spring = local("*/30 * * * *", BERLIN, utc(2026, 3, 29, 0, 15), 3)
    autumn = local("*/30 * * * *", BERLIN, utc(2026, 10, 24, 23, 45), 5)

    assert [each[11:] for each in spring] == ["01:30:00+01:00", "03:00:00+02:00", "03:30:00+02:00"]
    assert [each[11:] for each in autumn] == [
        "02:00:00+02:00",
        "02:30:00+02:00",
        "02:00:00+01:00",
        "02:30:00+01:00",
        "03:00:00+01:00",
    ]


def test_a_clock_that_jumps_by_half_an_hour() -> None:
    assert local("15 2 * * *", LORD_HOWE, utc(2026, 10, 3, 12), 1) == ["2026-10-04T02:30:00+11:00"]
    autumn = local("*/15 1-2 * * *", LORD_HOWE, utc(2026, 4, 4, 14, 20), 4)
    assert [each[11:] for each in autumn] == [
        "01:30:00+11:00",
        "01:45:00+11:00",
        "01:30:00+10:30",
        "01:45:00+10:30",
    ]


def test_seconds_come_first() -> None:
    assert local("*/20 * * * * *", None, utc(2026, 1, 1), 3) == [
        "2026-01-01T00:00:20+00:00",
        "2026-01-01T00:00:40+00:00",
        "2026-01-01T00:01:00+00:00",
    ]


def test_a_tick_is_after_a_moment_between_seconds() -> None:
    assert local("* * * * * *", None, utc(2026, 1, 1, 0, 0, 0, 500), 1) == [
        "2026-01-01T00:00:01+00:00"
    ]


@pytest.mark.parametrize("expression", ["@hourly", "@daily", "@weekly", "@monthly", "@yearly"])
def test_names_of_expressions(expression: str) -> None:
    (tick,) = itertools.islice(Cron(expression).after(utc(2026, 5, 5, 5, 5)), 1)

    assert (tick.minute, tick.second) == (0, 0)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "61 * * * *",
        "* 24 * * *",
        "* * * * * 61",
        "every day",
        "R * * * *",
        "H * * * *",
        "*/0 * * * *",
        "@reboot",
        "@sometimes",
        "0 0 * * nosuchday",
    ],
)
def test_what_is_no_cron_expression_says_so(expression: str) -> None:
    with pytest.raises(ValueError, match="is not a cron expression"):
        Cron(expression)


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../etc/passwd", "", "/etc/localtime"])
def test_what_is_no_time_zone_says_so(zone: str) -> None:
    with pytest.raises(ValueError, match="there is no such time zone"):
        Cron("* * * * *", zone)


def test_an_expression_without_any_day_ends() -> None:
    assert list(Cron("0 0 30 2 *").after(utc(2026, 1, 1))) == []
    assert Cron("0 0 30 2 *").plan(utc(2026, 1, 1), utc(2026, 1, 1), last_only=False) == ([], None)


def test_a_plan_knows_the_near_future_and_at_least_two_ticks() -> None:
    now = utc(2026, 1, 1)

    daily, daily_until = Cron("0 2 * * *").plan(now, now, last_only=False)
    each_second, until = Cron("* * * * * *").plan(now, now, last_only=False)

    assert len(daily) == 2
    assert daily_until == daily[-1]
    assert len(each_second) == 121
    assert until == each_second[-1] > now + timedelta(minutes=2)


@pytest.mark.parametrize("expression", ["* * * * * *", "*/7 * * * *", "0 3 * * *", "0 0 29 2 *"])
def test_of_many_missed_ticks_the_last_is_found_at_once(expression: str) -> None:
    start, now = utc(2000, 1, 1), utc(2026, 5, 5, 5, 5, 5, 5)

    ticks, _ = Cron(expression).plan(start, now, last_only=True)

    missed = [tick for tick in ticks if tick <= now]
    assert missed
    assert next(Cron(expression).after(missed[-1])) > now


def test_the_last_missed_tick_is_none_that_is_known_already() -> None:
    start, now = utc(2026, 5, 4, 3), utc(2026, 5, 5, 2)

    ticks, _ = Cron("0 3 * * *").plan(start, now, last_only=True)

    assert ticks[0] == utc(2026, 5, 5, 3)


fields = st.tuples(
    st.sampled_from(["0", "*/17", "30", "5,35", "10-50/20", "59"]),
    st.sampled_from(["*", "0", "2", "*/3", "1-3", "2,23", "23"]),
    st.sampled_from(["*", "1", "28-31", "*/10"]),
    st.sampled_from(["*", "3,4", "9-11", "mar"]),
    st.sampled_from(["*", "0", "sun", "1-5", "6,7"]),
).map(" ".join)


@given(
    st.sampled_from(["", "0", "7,30", "*/25"]),
    fields,
    st.sampled_from(ZONES),
    st.integers(0, 365 * 24 * 60 * 6),
)
@settings(max_examples=25, deadline=None)
def test_the_ticks_are_those_that_a_look_at_the_clock_each_minute_finds(
    seconds: str, expression: str, zone: str, minutes: int
) -> None:
    expression = f"{seconds} {expression}".strip()
    start = utc(2010, 1, 1) + timedelta(minutes=minutes)
    end = start + timedelta(days=2 if seconds else 20)

    found = [
        tick.astimezone(timezone.utc)
        for tick in parse(expression, zone).between(start, end + timedelta(seconds=1))
    ]

    assert found == list(ticks(expression, zone, start, end))


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone != "UTC"])
@pytest.mark.parametrize(
    "expression", ["*/20 * * * *", "30 2 * * *", "15 0,1 * * *", "45 23 * * *"]
)
def test_the_ticks_around_each_change_of_the_clock(expression: str, zone: str) -> None:
    found_changes = list(changes(zone, utc(2011, 6, 1), utc(2012, 6, 1)))
    assert found_changes

    for change in found_changes:
        start, end = change - timedelta(days=2), change + timedelta(days=2)
        found = [
            tick.astimezone(timezone.utc)
            for tick in parse(expression, zone).between(start, end + timedelta(seconds=1))
        ]
        assert found == list(ticks(expression, zone, start, end))
