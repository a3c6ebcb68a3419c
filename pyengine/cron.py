"""Cron expressions as moments: which times an expression names, in a time zone with its clock changes.

An expression names times of the clock on the wall. What a change of that clock means depends on the expression, as it
does for the cron of Unix:

- One that goes by the clock (its seconds, minutes or hours begin with `*`) has a tick whenever the clock shows a time
  that it names: none while the clock jumps over an hour, and twice as many when it shows an hour twice.
- Any other has a tick at the first moment when the clock shows such a time, or a later one: once a day, whatever the
  clock does. "Daily at 02:30" runs at 03:00 when there is no 02:30, and once when there are two.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

from pyengine.errors import DBOSInvalidArgumentError

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SECOND = timedelta(seconds=1)
# What is planned of a schedule at a time. Until the next plan two ticks must be left, and the near future known.
_FEW, _SOME, _MANY = 2, 10, 500
_NEAR, _FAR = timedelta(minutes=2), timedelta(days=1)
# How far to look back for the last of many missed ticks.
_LOOKS_BACK = (
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(days=100),
    timedelta(days=366 * 8 + 1),
)


class Cron:
    """A cron expression in a time zone.

    Args:
        expression: Minute, hour, day of the month, month and weekday, with seconds before them if there are six; or
            @hourly, @daily, @weekly, @monthly, @yearly.
        time_zone: An IANA name such as "Europe/Berlin"; None is UTC.

    Raises:
        DBOSInvalidArgumentError: The expression or the time zone can't be read; says why.
    """

    def __init__(self, expression: str, time_zone: str | None = None) -> None:
        self.zone = _zone(time_zone)
        self._fields = _fields(expression)
        self._by_the_clock = any(field.startswith("*") for field in self._clock_fields())
        self._walls_after(datetime(2000, 1, 1))  # noqa: DTZ001 - checks the expression

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The ticks after a moment, in order, in the time zone; ends when the expression names no further time.

        Args:
            moment: An aware datetime.
        """
        tick: datetime | None = moment
        while True:
            assert tick is not None
            tick = self._next_by_the_clock(tick) if self._by_the_clock else self._next_fixed(tick)
            if tick is None:
                return
            yield tick.astimezone(self.zone)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The ticks after `start` and before `end`."""
        for tick in self.after(start):
            if tick >= end:
                return
            yield tick

    def plan(
        self, start: datetime, now: datetime, *, last_only: bool
    ) -> tuple[list[datetime], datetime | None]:
        """The next ticks after `start`, and up to when they are all of them; None is for ever.

        Args:
            start: What is known ends here.
            now: The engine's time.
            last_only: Of the ticks up to now only the last one is of interest.
        """
        ticks: list[datetime] = []
        for tick in self.after(self._before_last(start, now) if last_only else start):
            ticks.append(tick)
            if (
                len(ticks) >= _MANY
                or (len(ticks) >= _SOME and tick > now + _NEAR)
                or (len(ticks) >= _FEW and tick > now + _FAR)
            ):
                return ticks, tick
        return ticks, None

    def _before_last(self, start: datetime, now: datetime) -> datetime:
        """A moment after `start` from which few ticks, but at least one if there is one, lead to now."""
        for look_back in _LOOKS_BACK:
            begin = now - look_back
            if begin <= start:
                break
            tick = next(self.after(begin), None)
            if tick is not None and tick <= now:
                return begin
        return start

    def _clock_fields(self) -> list[str]:
        return self._fields[:-3]

    def _next_fixed(self, moment: datetime) -> datetime | None:
        for wall in self._walls_after(_wall(moment, self.zone)):
            tick = _first_moment(wall, self.zone)
            if tick > moment:
                return tick
        return None

    def _next_by_the_clock(self, moment: datetime) -> datetime | None:
        """The first later moment at which the clock shows a time of the expression.

        While the clock shows an hour for the first time of two, the times before now come once more.
        """
        local = moment.astimezone(self.zone)
        wall = _wall(moment, self.zone)
        again = timedelta(0)
        if local.fold == 0:
            again = max(_offset(wall, self.zone, 0) - _offset(wall, self.zone, 1), timedelta(0))
        found: datetime | None = None
        for candidate in self._walls_after(wall - again):
            later = [m for m in _moments(candidate, self.zone) if m > moment]
            if later and (found is None or later[0] < found):
                found = later[0]
            if found is not None and candidate > wall:
                return found
        return found

    def _walls_after(self, wall: datetime) -> Iterator[datetime]:
        """The times of the expression after a time of the wall clock, which are naive too."""
        iterator = croniter(
            " ".join(self._fields), wall, ret_type=datetime, second_at_beginning=True
        )

        def walk() -> Iterator[datetime]:
            while True:
                try:
                    yield cast("datetime", iterator.get_next(datetime))
                except (CroniterBadDateError, OverflowError):
                    return  # there is no such day, as the 30th of February

        return walk()


@lru_cache(maxsize=512)
def parse(expression: str, time_zone: str | None = None) -> Cron:
    """As `Cron`, which is made once."""
    return Cron(expression, time_zone)


def _fields(expression: str) -> list[str]:
    fields = _ALIASES.get(expression.strip().lower(), expression).split()
    if len(fields) not in (5, 6):
        raise DBOSInvalidArgumentError(
            f"{expression!r} is not a cron expression: it has 5 fields (minute hour day month weekday), or 6 with "
            "the seconds first"
        )
    if any(mark in field.lower() for field in fields[:-2] for mark in "rh"):
        raise DBOSInvalidArgumentError(
            f"{expression!r} is not a cron expression: it has no times by chance (R) or hash (H)"
        )
    try:
        croniter.expand(" ".join(fields), second_at_beginning=True)
    except (CroniterBadCronError, ValueError, KeyError, AttributeError) as error:
        raise DBOSInvalidArgumentError(
            f"{expression!r} is not a cron expression: {error}"
        ) from None
    return fields


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise DBOSInvalidArgumentError(
            f"cron_timezone is {name!r}, and there is no such time zone here: use an IANA name such as Europe/Berlin"
        ) from None


def _wall(moment: datetime, zone: tzinfo) -> datetime:
    """What the clock on the wall shows."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(wall: datetime, zone: tzinfo, fold: int) -> timedelta:
    offset = wall.replace(tzinfo=zone, fold=fold).utcoffset()
    assert offset is not None
    return offset


def _utc(wall: datetime, offset: timedelta) -> datetime:
    return (wall - offset).replace(tzinfo=timezone.utc)


def _moments(wall: datetime, zone: tzinfo) -> list[datetime]:
    """When the clock shows a time: once, twice, or never."""
    both = sorted({_utc(wall, _offset(wall, zone, fold)) for fold in (0, 1)})
    return [moment for moment in both if _wall(moment, zone) == wall]


def _first_moment(wall: datetime, zone: tzinfo) -> datetime:
    """The first moment when the clock shows this time or a later one."""
    shown = _moments(wall, zone)
    if shown:
        return shown[0]
    early, late = sorted(_utc(wall, _offset(wall, zone, fold)) for fold in (0, 1))
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        middle = middle.replace(microsecond=0)
        if middle == early:
            middle += _SECOND
        early, late = (early, middle) if _wall(middle, zone) >= wall else (middle, late)
    return late
