"""Every two functions that touch something in common meet, in both orders, and whichever of them commits.

What they come to must be what some order, one after the other, comes to. The engine itself says what that is: each
order runs first in a transaction that is rolled back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.races.actions import ACTIONS, CORE, Action, attempt, state
from tests.races.world import World

pytestmark = pytest.mark.race

# Those that lock more than one row: only they can deadlock.
WIDE = {
    "claim", "record both", "resume both", "finish both", "send to all", "apply a batch", "cancel both",
    "delete both", "delete what waits", "cancel what waits", "resume what waits", "hibernate",
    "hibernate the other", "send from s to w", "send from w to s", "send within a step of w",
    "start children", "set the awaited event", "do chores", "reap",
}  # fmt: skip

# Those that change nothing of the world as it is, and nothing that lasts.
IDLE = {"heartbeat", "start again"}


def pairs(of: Callable[[Action, Action], bool]) -> list[Any]:
    """Every two actions that touch something in common, in both orders; slow unless `of` says otherwise."""
    return [
        pytest.param(a, b, id=f"{a.name}-{b.name}", marks=() if of(a, b) else pytest.mark.slow)
        for a, b in itertools.product(ACTIONS.values(), repeat=2)
        if a.rows & b.rows
    ]


def are_core(a: Action, b: Action) -> bool:
    return {a.name, b.name} <= CORE


@pytest.mark.parametrize(("a", "b"), pairs(are_core))
def test_the_second_waits_for_the_first_to_commit_or_does_without_it(
    world: World, a: Action, b: Action
) -> None:
    world.restore()
    first, second = world.sessions
    first.execute("begin")
    begun = attempt(a, first)

    late = world.background(1, lambda: attempt(b, second))
    first.execute("commit")

    world.check([a, b], [begun, late.result(10)])


@pytest.mark.parametrize(("a", "b"), pairs(are_core))
def test_the_first_is_rolled_back_and_has_never_been(world: World, a: Action, b: Action) -> None:
    world.restore()
    first, second = world.sessions
    first.execute("begin")
    attempt(a, first)

    late = world.background(1, lambda: attempt(b, second))
    first.execute("rollback")

    world.check([b], [late.result(10)])


def narrow_gates() -> list[Any]:
    """Pairs that lock several rows, each with a row in the middle at which both are held up."""
    return [
        pytest.param(a, b, row, id=f"{a.name}-{b.name}-{row}", marks=() if quick else pytest.mark.slow)
        for a, b in itertools.product(ACTIONS.values(), repeat=2)
        for row in sorted(a.rows & b.rows)
        if {a.name, b.name} <= WIDE
        for quick in [row in ("w", "s") and a.name < b.name]
    ]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "row"), narrow_gates())
def test_two_that_are_held_up_at_one_row_go_on_without_a_deadlock(
    world: World, a: Action, b: Action, row: str
) -> None:
    world.restore()
    first, second = world.sessions
    where = {
        "q": "queues where queue_name",
        "dead": "executors where name",
        "one": "executors where name",
    }
    world.gate.execute(
        f"select from pyengine.{where.get(row, 'workflows where workflow_id')} = %s for update",
        [row],
    )

    early = world.background(0, lambda: attempt(a, first))
    late = world.background(1, lambda: attempt(b, second))
    world.gate.commit()

    world.check([a, b], [early.result(10), late.result(10)])


@pytest.mark.parametrize("each", ACTIONS.values(), ids=ACTIONS)
def test_an_action_alone_does_something_or_is_told_why_not(world: World, each: Action) -> None:
    world.restore()
    before = state(world.look)

    results, after = world.serial([each], [])

    assert after != before or "PE" in str(results) or each.name in IDLE
