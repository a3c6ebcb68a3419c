"""The explorer is not blind: it finds guards of the engine that are taken away, and the same seed finds them again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.gate.explorer import Explorer, Tally
from tests.gate.meetings import named
from tests.tools.guard_mutants import MUTANTS
from tests.tools.mutants import ROOT, mutate

pytestmark = pytest.mark.race

SCHEDULES = 60


@contextmanager
def without(engine_url: str, guard: str) -> Iterator[None]:
    """The engine without one of its guards."""
    mutant = next(each for each in MUTANTS if each.name == guard)
    source = Path(ROOT, "sql", mutant.path).read_text()
    with psycopg.connect(engine_url, autocommit=True) as session:
        session.execute(mutate(source, mutant).encode())
        try:
            yield
        finally:
            session.execute(source.encode())


def explore(explorer: Explorer, pair: str) -> Tally:
    return explorer.explore(explorer.meeting(named(*pair.split("-"))), SCHEDULES)


@pytest.mark.parametrize(
    ("guard", "pair", "deadlocks"),
    [
        pytest.param("record steps: no lock", "record-delete", False, id="a read before a write"),
        pytest.param("apply a batch: no lock", "apply a batch-cancel both", True, id="a deadlock"),
    ],
)
def test_a_guard_that_is_gone_is_found(
    explorer: Explorer, engine_url: str, guard: str, pair: str, deadlocks: bool
) -> None:
    with without(engine_url, guard):
        broken = explore(explorer, pair)
    sound = explore(explorer, pair)

    assert broken.violations
    assert sound.violations == []
    assert bool(broken.deadlocks) == deadlocks


def test_the_same_seed_finds_the_same_again(explorer: Explorer, engine_url: str) -> None:
    with without(engine_url, "record steps: no lock"):
        first, second = (explore(explorer, "record-delete") for _ in range(2))

    assert first.violations
    assert [each.schedule for each in first.violations] == [
        each.schedule for each in second.violations
    ]
