"""What a run writes is refused once the workflow is not its own any more, also if it waited for that decision."""

from __future__ import annotations

import pytest

from tests.races.actions import ACTIONS, attempt, state
from tests.races.world import World

pytestmark = pytest.mark.race

# Everything that only the run of w may do.
WRITES = (
    "start a child", "record", "record one", "record in a transaction", "finish", "finish in a batch",
    "send from w to s", "send within a step of w", "receive", "receive in vain", "receive an event", "set an event",
    "append", "sleep", "continue",
)  # fmt: skip
# What takes the workflow from its run, and what the run may be told then.
LOSSES = {"cancel": ("PE002",), "resume": ("PE001",), "delete": ("PE404", "PE001")}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_write_that_waits_for_the_loss_of_its_workflow_is_refused(
    world: World, write: str, loss: str
) -> None:
    world.restore()
    first, second = world.sessions
    first.execute("begin")
    attempt(ACTIONS[loss], first)

    late = world.background(1, lambda: attempt(ACTIONS[write], second))
    assert not late.done()
    first.execute("commit")

    assert any(code in str(late.result(10)) for code in LOSSES[loss])
    reached = state(world.look)
    world.restore()
    assert reached == world.serial([ACTIONS[loss]], [])[1]


@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_refused_under_the_lease_of_the_next_run(world: World, write: str) -> None:
    world.restore()
    for each in ("resume", "claim"):
        attempt(ACTIONS[each], world.look)
    before = state(world.look)

    assert "PE001" in str(attempt(ACTIONS[write], world.look))
    assert state(world.look) == before


@pytest.mark.parametrize("loss", LOSSES)
def test_a_release_of_what_is_lost_releases_nothing(world: World, loss: str) -> None:
    world.restore()
    for each in (loss, "claim"):
        attempt(ACTIONS[each], world.look)
    before = state(world.look)

    assert attempt(ACTIONS["release"], world.look) == []
    assert state(world.look) == before
