"""Ticks of cron expressions by another way: look at the clock on the wall at each minute, and ask whether it fits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
NAMES = {
    name: number
    for names in (
        ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    )
    for number, name in enumerate(names)
    if name
}
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def numbers(field: str, low: int, high: int) -> set[int]:
    """The numbers that a field of an expression names."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        else:
            ends = [NAMES.get(end.lower(), -1) for end in span.split("-")]
            ends = [
                int(end) if known < 0 else known
                for end, known in zip(span.split("-"), ends, strict=True)
            ]
            first, last = ends[0], ends[-1]
            if step and len(ends) == 1:
                last = high
        found |= set(range(first, last + 1, int(step or 1)))
    return found


class Expression:
    """Five fields."""

    def __init__(self, text: str) -> None:
        fields = text.split()
        self.minutes, self.hours, self.days, self.months, weekdays = (
            numbers(field, *RANGES[n]) for n, field in enumerate(fields)
        )
        self.weekdays = {day % 7 for day in weekdays}
        self.any_day, self.any_weekday = fields[2] == "*", fields[4] == "*"
        self.is_by_the_clock = fields[0].startswith("*") or fields[1].startswith("*")

    def fits_day(self, wall: datetime) -> bool:
        if wall.month not in self.months:
            return False
        day, weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return day and weekday
        return day or weekday

    def fits(self, wall: datetime) -> bool:
        return wall.minute in self.minutes and wall.hour in self.hours and self.fits_day(wall)


def ticks(text: str, zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """The ticks after `start` and up to `end`, in UTC.

    By the clock: each minute at which the clock shows a time that fits. Otherwise each time that fits has its tick
    at the first minute at which the clock shows it or a later time.
    """
    expression = Expression(text)
    shown = _shown(zone, start.replace(second=0, microsecond=0), end)
    _, newest = next(shown)
    for moment, wall in shown:
        if expression.is_by_the_clock:
            if expression.fits(wall):
                yield moment
        elif wall == newest + MINUTE:
            newest = wall
            if expression.fits(wall):
                yield moment
        else:
            jumped_over = []
            while newest < wall:
                newest += MINUTE
                jumped_over.append(newest)
            if any(expression.fits(each) for each in jumped_over):
                yield moment


def _shown(zone: str, moment: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Each minute with what the clock shows then; it is asked twice in an hour, more often when it is changed."""
    clock = ZoneInfo(zone)
    while moment <= end:
        wall, then = (each.astimezone(clock) for each in (moment, moment + 59 * MINUTE))
        is_changed = wall.utcoffset() != then.utcoffset()
        for _ in range(1 if is_changed else 60):
            if moment > end:
                return
            yield moment, wall.replace(tzinfo=None, fold=0)
            moment += MINUTE
            wall += MINUTE


def changes(zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """The hours at whose end a clock is not what it was at their beginning."""
    clock, hour = ZoneInfo(zone), timedelta(hours=1)
    while start < end:
        if start.astimezone(clock).utcoffset() != (start + hour).astimezone(clock).utcoffset():
            yield start
        start += hour


def utc(*parts: int) -> datetime:
    """A moment in UTC."""
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[arg-type, misc]
