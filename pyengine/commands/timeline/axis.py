"""The axis of time: where on it a moment lies, and which times are named below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pyengine.commands import printing
from pyengine.commands.timeline.rows import Span

_SMALL = [factor * 10.0**power for power in range(-6, 1) for factor in (1, 2, 5)]
_STEPS = [
    *_SMALL,
    *(10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(hours * 3600 for hours in (1, 2, 3, 6, 12)),
    *(days * 86400 for days in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)),
]


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of time, drawn so many units wide."""

    begin: datetime
    end: datetime
    width: float

    def place(self, moment: datetime) -> float:
        """Where a moment lies: 0 at the beginning, `width` at the end, and beyond them outside."""
        length = (self.end - self.begin).total_seconds()
        return (moment - self.begin).total_seconds() / length * self.width if length else 0.0

    def stretch(self, span: Span) -> tuple[float, float]:
        """From where to where a span lies; one that goes on ends with the axis, or where it begins behind it."""
        begin = self.place(span.begin)
        return begin, max(begin, self.width) if span.end is None else self.place(span.end)

    def ticks(self, room: float) -> Iterator[tuple[float, str]]:
        """Round times from the beginning of the axis and their places, at least `room` units apart."""
        length = (self.end - self.begin).total_seconds()
        most = max(self.width / room, 1)
        step = next((each for each in _STEPS if length / each <= most), _STEPS[-1])
        for number in range(int(length / step) + 1):
            moment = self.begin + timedelta(seconds=number * step)
            yield self.place(moment), _short(number * step)


def _short(seconds: float) -> str:
    first, *others = printing.duration(seconds).split(" ")
    return first if not others or others[0][0] == "0" else f"{first} {others[0]}"
