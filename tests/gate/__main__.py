"""Let calls meet in as many schedules as there is time for: `python -m tests.gate --minutes M --seed N --pair a-b`."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg

from pyengine import embedded, schema
from tests.fix_server import server_directory
from tests.gate.build import CannotCompileError, library
from tests.gate.explorer import Explorer, Meeting, Tally, name_of
from tests.gate.meetings import Place, places
from tests.races.actions import Action

# The schedules of some calls, before the next have their turn.
_ROUND = 8
_SHOWN = 3
_PROGRESS_SECONDS = 30.0


class Turns:
    """The schedules of some calls, as many as have been explored so far."""

    def __init__(self, place: str, actions: list[Action]) -> None:
        self.actions = actions
        self.name = f"{place}: {name_of(actions)}"
        self.tally = Tally()
        self._meeting: Meeting | None = None

    @property
    def is_covered(self) -> bool:
        return self._meeting is not None

    def go_on(self, explorer: Explorer) -> None:
        """A round more; says what is wrong, the first times."""
        if self._meeting is None:
            self._meeting = explorer.meeting(self.actions)
        found = explorer.explore(self._meeting, _ROUND)
        for violation in found.violations[: max(0, _SHOWN - len(self.tally.violations))]:
            print(f"VIOLATED {violation}", flush=True)
        self.tally.add(found)


class Campaign:
    """All calls that meet take turns until the time is over."""

    def __init__(self, seed: int, minutes: float, asked: list[tuple[Place, list[Turns]]]) -> None:
        self._seed = seed
        self._asked = asked
        self._turns = [turns for _, of_place in asked for turns in of_place]
        self._began = self._told_at = time.monotonic()
        self._until = self._began + minutes * 60

    def run(self, explorers: dict[str, Explorer]) -> None:
        """Go on until the time is over, or nothing is left that has not been tried."""
        before = -1
        while before != (before := self._total().schedules):
            for place, of_place in self._asked:
                for turns in of_place:
                    if time.monotonic() >= self._until:
                        return
                    turns.go_on(explorers[place.name])
                    self._tell()

    def lines(self) -> Iterator[str]:
        """What each pair came to, and all together."""
        for turns in self._turns:
            if turns.is_covered:
                yield f"{turns.name}  {turns.tally}"
        yield self._line()

    @property
    def passed(self) -> bool:
        return not self._total().violations

    def _tell(self) -> None:
        if time.monotonic() - self._told_at > _PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            print(f"... {self._line()}", flush=True)

    def _total(self) -> Tally:
        total = Tally()
        for turns in self._turns:
            total.add(turns.tally)
        return total

    def _covered(self, size: int) -> str:
        those = [turns for turns in self._turns if len(turns.actions) == size]
        return f"{sum(turns.is_covered for turns in those)}/{len(those)}"

    def _line(self) -> str:
        total, seconds = self._total(), time.monotonic() - self._began
        return (
            f"gate seed={self._seed} pairs={self._covered(2)} triples={self._covered(3)} {total} "
            f"seconds={seconds:.0f} per-second={total.schedules / seconds:.0f}"
        )


@contextmanager
def _explorers(chosen: list[Place], seed: int) -> Iterator[dict[str, Explorer]]:
    """An explorer for each place, with a database of its own on a server of their own."""
    directory = server_directory()
    try:
        with embedded.start(directory / "server") as server, ExitStack() as stack:
            module = library(server.bindir, directory)
            yield {
                place.name: stack.enter_context(_explorer(server, place, module, seed))
                for place in chosen
            }
    finally:
        shutil.rmtree(directory)


@contextmanager
def _explorer(server: embedded.Server, place: Place, module: Path, seed: int) -> Iterator[Explorer]:
    name = place.name.replace(" ", "_").lower()
    with psycopg.connect(server.url(), autocommit=True) as session:
        session.execute(f"create database {name}".encode())
    with psycopg.connect(server.url(name), autocommit=True) as look:
        schema.migrate(look)
        world = place.make(server.url(name), look)
        with closing(Explorer(world, module, seed)) as explorer:
            yield explorer


def _asked(pair: str | None) -> list[tuple[Place, list[Turns]]]:
    """The calls that are asked for, by their name with or without the place's; all of them by default."""
    found = []
    for place in places():
        all_turns = [Turns(place.name, actions) for actions in place.meetings]
        names = (pair, f"{place.name}: {pair}")
        turns = [each for each in all_turns if pair is None or each.name in names]
        found += [(place, turns)] if turns else []
    if not found:
        sys.exit(f"no calls that meet are called {pair}; without PAIR= all of them are listed")
    return found


def main() -> None:
    """Print progress, each violation as it is found, and what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.gate", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--pair", help="calls that meet, as the report names them: finish-cancel")
    given = parser.parse_args()
    asked = _asked(given.pair)
    try:
        with _explorers([place for place, _ in asked], given.seed) as explorers:
            campaign = Campaign(given.seed, given.minutes, asked)
            campaign.run(explorers)
    except CannotCompileError as lack:
        sys.exit(f"the gate can't be compiled: {lack}")
    for line in campaign.lines():
        print(line)
    if not campaign.passed:
        sys.exit("some calls came to what no order of them comes to; the same seed finds it again")


if __name__ == "__main__":
    main()
