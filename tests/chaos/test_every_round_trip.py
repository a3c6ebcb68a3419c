"""A crash at every round trip: before the call is sent, and after its commit but before the reply is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.chaos.crash import EXIT_CODE, Crash
from tests.chaos.program import chain_result
from tests.chaos.rig import Rig

STEPS = 5
BACKGROUND = ("claim_workflows", "await_work", "tick_executor")


def trips_of_a_whole_run(rig: Rig, workflow: str) -> Counter[str]:
    """How often each SQL function is called by a run that nothing disturbs."""
    worker = rig.worker(trips=True)
    worker.send("call", "golden", workflow, STEPS, 1)
    assert worker.expect("result", "golden")[2] == chain_result(STEPS, 1)
    worker.send("leave")
    worker.expect("left")
    return Counter(message[1] for message in worker.received("trip"))


def crashes(trips: Counter[str]) -> Iterator[Crash]:
    """Both crashes at each trip. Ticks and claims are as many as the run is long: the first stands for all."""
    for function, count in sorted(trips.items()):
        last = 1 if function in BACKGROUND else count
        for nth in range(1, last + 1):
            yield from (Crash(function, nth, after=False), Crash(function, nth, after=True))


def run_through(rig: Rig, workflow_id: str, workflow: str, crash: Crash) -> tuple[int | None, Any]:
    """Run a workflow in a process that crashes there, then in one that does not: exit code of the first, result."""
    first = rig.worker(crash=str(crash), ready=False)
    first.send("call", workflow_id, workflow, STEPS, 1)
    first.send("leave")
    code = first.exit_code()
    second = rig.worker()
    second.send("call", workflow_id, workflow, STEPS, 1)
    result = second.expect("result", workflow_id)[2]
    second.kill()
    return code, result


def expect_effects(rig: Rig, workflow_id: str, crash: Crash) -> None:
    """Each plain step had its effect once; the one whose checkpoint was not stored had it twice.

    A claim or tick goes on beside the workflow: a crash there may meet any one step between effect and checkpoint.
    """
    steps = [f"plain {number}" for number in range(0, STEPS, 2)]
    found = rig.ledger.effects_of(workflow_id)
    if crash.function in BACKGROUND:
        assert found.keys() == set(steps), crash
        assert len(steps) <= sum(found.values()) <= len(steps) + 1, crash
        return
    lost = crash.function == "record_steps" and not crash.after
    assert found == {
        step: 2 if lost and index == crash.nth - 1 else 1 for index, step in enumerate(steps)
    }, crash


def expect_exactly_once(business: psycopg.Connection[Any], workflow_id: str) -> None:
    """Each transactional step has one row, and a checkpoint."""
    rows = business.execute(
        "select step from public.business where workflow_id = %s order by 1", [workflow_id]
    ).fetchall()
    assert rows == [("transfer 1",), ("transfer 3",)]
    checkpoints = business.execute(
        "select count(*) from pyengine.steps where workflow_id = %s", [workflow_id]
    ).fetchall()
    assert checkpoints == [(STEPS,)]


@pytest.mark.chaos
@pytest.mark.parametrize("workflow", ["mixed", "mixed_async"])
def test_a_crash_at_any_round_trip_changes_no_result_and_repeats_nothing_that_is_stored(
    rig: Rig, business: psycopg.Connection[Any], workflow: str
) -> None:
    planned = list(crashes(trips_of_a_whole_run(rig, workflow)))
    covered = 0

    for number, crash in enumerate(planned):
        workflow_id = f"w{number}"
        code, result = run_through(rig, workflow_id, workflow, crash)

        assert code == EXIT_CODE, f"nothing crashed at {crash}"
        assert result == chain_result(STEPS, 1), crash
        expect_effects(rig, workflow_id, crash)
        expect_exactly_once(business, workflow_id)
        covered += 1

    print(f"{workflow}: crashed at {covered} of {len(planned)} points: {[str(c) for c in planned]}")
    assert covered == len(planned) >= 2 * (STEPS + 2 + 4)
    assert business.execute(
        "select status, count(*) from pyengine.workflows group by 1"
    ).fetchall() == [("SUCCESS", len(planned) + 1)]


@pytest.mark.parametrize(
    "crash",
    [
        Crash("start_workflows", 1, after=True),
        Crash("record_steps", 2, after=False),
        Crash("record_steps", 2, after=True),
        Crash("commit", 2, after=False),
        Crash("commit", 2, after=True),
        Crash("finish_workflows", 1, after=True),
    ],
    ids=str,
)
def test_a_crash_at_a_round_trip_changes_no_result(
    rig: Rig, business: psycopg.Connection[Any], crash: Crash
) -> None:
    code, result = run_through(rig, "w", "mixed", crash)

    assert code == EXIT_CODE
    assert result == chain_result(STEPS, 1)
    expect_effects(rig, "w", crash)
    expect_exactly_once(business, "w")
