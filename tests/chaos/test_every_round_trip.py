"""A crash at every round trip of a workflow: before the call is sent, and after its commit but before the reply is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.chaos.crash import EXIT_CODE, Crash
from tests.chaos.program import chain_result
from tests.chaos.rig import Rig, Worker

STEPS = 5


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
        last = 1 if function in ("tick_executor", "claim_workflows") else count
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


def expected_effects(crash: Crash) -> dict[str, int]:
    """Each step once; the one whose checkpoint was not stored twice."""
    lost = crash.nth - 1 if crash.function == "record_steps" and not crash.after else None
    return {f"plain {number}": 2 if number == lost else 1 for number in range(STEPS)}


@pytest.mark.chaos
@pytest.mark.parametrize("workflow", ["chain", "chain_async"])
def test_a_crash_at_any_round_trip_changes_no_result_and_repeats_no_checkpointed_step(
    rig: Rig, business: psycopg.Connection[Any], workflow: str
) -> None:
    planned = list(crashes(trips_of_a_whole_run(rig, workflow)))
    covered = 0

    for number, crash in enumerate(planned):
        code, result = run_through(rig, f"w{number}", workflow, crash)

        assert code == EXIT_CODE, f"nothing crashed at {crash}"
        assert result == chain_result(STEPS, 1), crash
        assert rig.ledger.effects_of(f"w{number}") == expected_effects(crash), crash
        covered += 1

    print(f"{workflow}: crashed at {covered} of {len(planned)} points: {[str(c) for c in planned]}")
    assert covered == len(planned) >= 2 * (STEPS + 2)
    assert business.execute(
        "select status, count(*) from pyengine.workflows group by 1"
    ).fetchall() == [("SUCCESS", len(planned) + 1)]


@pytest.mark.parametrize(
    "crash",
    [
        Crash("start_workflows", 1, after=True),
        Crash("record_steps", 2, after=False),
        Crash("record_steps", 2, after=True),
        Crash("finish_workflows", 1, after=False),
        Crash("finish_workflows", 1, after=True),
    ],
    ids=str,
)
def test_a_crash_at_a_round_trip_changes_no_result(rig: Rig, crash: Crash) -> None:
    code, result = run_through(rig, "w", "chain", crash)

    assert code == EXIT_CODE
    assert result == chain_result(STEPS, 1)
    assert rig.ledger.effects_of("w") == expected_effects(crash)
