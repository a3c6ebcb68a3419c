"""Calls meet in many orders of their steps, and come to what they would have come to one after the other."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.gate.schedules import Schedule, generate
from tests.gate.turnstile import Played, Turnstile
from tests.races.actions import Action, attempt
from tests.races.world import Outcome, World, judge

# The world is made anew before anything in it is due that was not when it was made.
_WORLD_LASTS = 120.0


@dataclass(frozen=True)
class Violation:
    """Calls that came to what no order of them comes to, or to an error."""

    calls: str
    schedule: str
    what: str
    deadlock: bool = False

    def __str__(self) -> str:
        return f"{self.calls}: {self.schedule}\n    {self.what}"


@dataclass
class Tally:
    """What the schedules of some calls came to."""

    schedules: int = 0
    blocked: int = 0
    refusals: int = 0
    violations: list[Violation] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count these too."""
        self.schedules += other.schedules
        self.blocked += other.blocked
        self.refusals += other.refusals
        self.violations += other.violations

    @property
    def deadlocks(self) -> int:
        """How many of the violations are deadlocks."""
        return sum(each.deadlock for each in self.violations)

    def __str__(self) -> str:
        return (
            f"schedules={self.schedules} blocked={self.blocked} refusals={self.refusals} "
            f"violations={len(self.violations)} deadlocks={self.deadlocks}"
        )


@dataclass
class Meeting:
    """Calls that meet, the schedules that are left of them, and what they come to in every order."""

    actions: list[Action]
    schedules: Iterator[Schedule]
    orders: list[Outcome]


class Explorer:
    """Lets actions meet in a world, in schedules of their steps."""

    def __init__(self, world: World, library: Path, seed: int) -> None:
        self._world = world
        self._made_at = time.monotonic()
        self._turnstile = Turnstile(world.url, library, size=3)
        self._seed = seed
        self._steps: dict[str, int] = {}

    def close(self) -> None:
        """End all sessions."""
        self._turnstile.close()
        self._world.close()

    def meeting(self, actions: list[Action]) -> Meeting:
        """Let these meet: what every order of them comes to, and the seed's schedules."""
        self._restore()
        steps = [self.steps(each) for each in actions]
        schedules = generate(steps, f"{self._seed} {name_of(actions)}")
        return Meeting(actions, schedules, self._world.orders(actions))

    def steps(self, action: Action) -> int:
        """How many steps an action takes alone."""
        if action.name not in self._steps:
            self._restore()
            self._steps[action.name] = self._turnstile.steps(_work(action))
        return self._steps[action.name]

    def explore(self, meeting: Meeting, count: int) -> Tally:
        """Go through the next schedules of a meeting."""
        tally = Tally()
        for schedule in itertools.islice(meeting.schedules, count):
            self._restore()
            played = self._turnstile.play([_work(each) for each in meeting.actions], schedule)
            tally.schedules += 1
            tally.blocked += played.blocked
            tally.refusals += "'PE" in str(played.answers)
            problem = self._problem(meeting, played)
            if problem is not None:
                what, deadlock = problem
                turns = ", ".join(map(str, schedule))
                tally.violations.append(Violation(name_of(meeting.actions), turns, what, deadlock))
        return tally

    def _restore(self) -> None:
        if time.monotonic() - self._made_at > _WORLD_LASTS:
            self._world.renew()
            self._made_at = time.monotonic()
        self._world.restore()

    def _problem(self, meeting: Meeting, played: Played) -> tuple[str, bool] | None:
        """What is wrong with what they came to, and whether it is a deadlock."""
        for answer in played.answers:
            if isinstance(answer, BaseException):
                return repr(answer), isinstance(answer, psycopg.errors.DeadlockDetected)
        try:
            reached = self._world.reached(meeting.actions)
            judge(meeting.actions, (played.answers, reached), meeting.orders)
        except AssertionError as wrong:
            return str(wrong), False
        return None


def name_of(actions: list[Action]) -> str:
    """What calls that meet are called."""
    return "-".join(each.name for each in actions)


def _work(action: Action) -> Callable[[psycopg.Connection[Any]], Any]:
    return lambda session: attempt(action, session)
