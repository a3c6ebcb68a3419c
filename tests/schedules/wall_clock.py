"""Ticks of cron expressions by another way: look at the clock on the wall at each minute, and ask whether it fits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NAMES = {
    name: number
    for names in (
        ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    )
    for number, name in enumerate(names)
    if name
}
RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


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
    """Five fields, or six with the seconds first."""

    def __init__(self, text: str) -> None:
        fields = text.split()
        fields = ["0", *fields] if len(fields) == 5 else fields
        seconds, self.minutes, self.hours, self.days, self.months, weekdays = (
            numbers(field, *RANGES[n]) for n, field in enumerate(fields)
        )
        self.seconds = sorted(seconds)
        self.weekdays = {day % 7 for day in weekdays}
        self.any_day, self.any_weekday = fields[3] == "*", fields[5] == "*"
        self.is_by_the_clock = any(field.startswith("*") for field in fields[:3])

    def fits_day(self, wall: datetime) -> bool:
        if wall.month not in self.months:
            return False
        day, weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return day and weekday
        return day or weekday

    def fits_hour(self, wall: datetime) -> bool:
        return wall.hour in self.hours and self.fits_day(wall)

    def fits(self, wall: datetime) -> bool:
        """Whether some second of this minute fits."""
        return wall.minute in self.minutes and self.fits_hour(wall)


def ticks(text: str, zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """The ticks after `start` and up to `end`, in UTC.

    By the clock: each second at which the clock shows a time that fits. Otherwise each time that fits has its tick
    at the first second at which the clock shows it or a later time.
    """
    expression = Expression(text)
    # From a day before: the clock may show at the start what it has shown before.
    begin = start.replace(second=0, microsecond=0) - 24 * HOUR
    for moment, seconds in _fitting(expression, _shown(zone, begin, end)):
        for second in seconds:
            tick = moment + timedelta(seconds=second)
            if start < tick <= end:
                yield tick


def _fitting(
    expression: Expression, shown: Iterator[tuple[datetime, datetime, int]]
) -> Iterator[tuple[datetime, list[int]]]:
    """The minutes with ticks, and their seconds."""
    newest: datetime | None = None
    for start, wall, minutes in shown:
        last = wall + (minutes - 1) * MINUTE
        goes_on = newest is None or wall == newest + MINUTE
        fits = expression.fits_hour(wall) or expression.fits_hour(last)
        if minutes > 1 and not fits and (goes_on or expression.is_by_the_clock):
            newest = last
            continue
        for number in range(minutes):
            moment, time = start + number * MINUTE, wall + number * MINUTE
            if expression.is_by_the_clock or newest is None or time == newest + MINUTE:
                seconds = expression.seconds if expression.fits(time) else []
            elif time > newest:
                seconds = _after_a_jump(expression, newest + MINUTE, time)
            else:
                continue  # it was shown before
            newest = time
            if seconds:
                yield moment, seconds


def _after_a_jump(expression: Expression, time: datetime, shown: datetime) -> list[int]:
    """The seconds of the first minute after a jump: the first of them has what was jumped over."""
    seconds = set(expression.seconds if expression.fits(shown) else [])
    while time < shown:
        if expression.fits(time):
            seconds.add(0)
        time += MINUTE
    return sorted(seconds)


def _shown(zone: str, moment: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, int]]:
    """What the clock shows from a moment on, and for how many minutes: 60, or 1 when it is changed in these 60."""
    clock = ZoneInfo(zone)
    while moment <= end:
        wall, then = (each.astimezone(clock) for each in (moment, moment + 59 * MINUTE))
        minutes = 60 if wall.utcoffset() == then.utcoffset() else 1
        yield moment, wall.replace(tzinfo=None, fold=0), minutes
        moment += minutes * MINUTE


def changes(zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """The hours at whose end a clock is not what it was at their beginning."""
    clock = ZoneInfo(zone)
    while start < end:
        if start.astimezone(clock).utcoffset() != (start + HOUR).astimezone(clock).utcoffset():
            yield start
        start += HOUR


def utc(*parts: int) -> datetime:
    """A moment in UTC."""
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[arg-type, misc]
