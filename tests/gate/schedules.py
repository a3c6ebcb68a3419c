"""In which order the steps of several calls happen.

A schedule is a sequence of turns: a call goes on until it stands before one of its steps, or to its end. A turn
that ends before a step is a preemption. A seed gives the same schedules every time: those with one preemption,
in an order of chance, and among them, and after them for ever, some with more.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MORE_PREEMPTIONS = (2, 2, 2, 3, 3, 4, 6)
# Every so many schedules one has more than one preemption.
ONE_IN = 4


@dataclass(frozen=True)
class Turn:
    """A call goes on until it stands before the step `until`, or to its end."""

    who: int
    until: int | None = None

    def __str__(self) -> str:
        return f"{'ABC'[self.who]} {'ends' if self.until is None else f'to {self.until}'}"


Schedule = tuple[Turn, ...]


def generate(steps: Sequence[int], seed: str) -> Iterator[Schedule]:
    """Schedules of calls that take so many steps alone, each once, until there seem to be no others."""
    chance = random.Random(seed)
    simple = _with_one_preemption(steps)
    chance.shuffle(simple)
    seen: set[Schedule] = set()
    for number in itertools.count(1):
        if simple and number % ONE_IN:
            drawn: Schedule | None = simple.pop()
        else:
            drawn = _new(steps, chance, seen) or (simple.pop() if simple else None)
        if drawn is None:
            return
        seen.add(drawn)
        yield drawn


def _with_one_preemption(steps: Sequence[int]) -> list[Schedule]:
    """One call is stopped before one of its steps, the others run whole, and it goes on."""
    return [
        (Turn(who, step), *map(Turn, others), Turn(who))
        for who, count in enumerate(steps)
        for step in range(1, count + 1)
        for others in itertools.permutations(set(range(len(steps))) - {who})
    ]


def _new(steps: Sequence[int], chance: random.Random, seen: set[Schedule]) -> Schedule | None:
    for _ in range(100):
        drawn = _drawn(steps, chance.choice(MORE_PREEMPTIONS), chance)
        if drawn not in seen and sum(turn.until is not None for turn in drawn) > 1:
            return drawn
    return None


def _drawn(steps: Sequence[int], preemptions: int, chance: random.Random) -> Schedule:
    """Each call is stopped a number of times, at steps of chance, and the turns are in an order of chance."""
    stopped = [chance.randrange(len(steps)) for _ in range(preemptions)]
    order = [*stopped, *range(len(steps))]
    chance.shuffle(order)
    turns: list[Turn] = []
    for who, count in enumerate(steps):
        places = range(1, count + 1)
        stops = sorted(chance.sample(places, min(stopped.count(who), count)))
        turns += [Turn(who, stop) for stop in stops] + [Turn(who)]
    mine = {who: iter([turn for turn in turns if turn.who == who]) for who in range(len(steps))}
    dealt = [turn for who in order if (turn := next(mine[who], None)) is not None]
    return tuple(
        turn
        for turn, following in itertools.zip_longest(dealt, dealt[1:])
        if following is None or turn.who != following.who
    )
