"""Steps that are stopped: by their timeout, or because their workflow was cancelled."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.errors import (
    DBOSAwaitedWorkflowCancelledError,
    DBOSMaxStepRetriesExceeded,
    DBOSStepTimeoutError,
    DBOSWorkflowCancelledError,
)
from tests.workflows.support import Gate, Signal, steps_of, stored

events: list[str] = []


async def hang() -> None:
    await asyncio.get_running_loop().create_future()


@DBOS.step(timeout_seconds=0.02)
async def hangs() -> None:
    try:
        await hang()
    finally:
        events.append("cleaned up")


@DBOS.step(timeout_seconds=10)
async def quick_enough() -> str:
    return "quick"


@DBOS.step(timeout_seconds=0.02, retries_allowed=True, interval_seconds=0, max_attempts=3)
async def hangs_twice() -> str:
    events.append("attempt")
    if len(events) < 3:
        await hang()
    return "third"


@DBOS.step(timeout_seconds=0.02, retries_allowed=True, interval_seconds=0, max_attempts=2)
async def hangs_always() -> None:
    await hang()


@DBOS.step(timeout_seconds=0.02)
async def completes_when_stopped() -> str:
    with suppress(asyncio.CancelledError):
        await hang()
    return "completed"


STEPS: dict[str, Any] = {
    step.__name__: step
    for step in (hangs, quick_enough, hangs_twice, hangs_always, completes_when_stopped)
}


@DBOS.workflow()
async def run_timed(step: str) -> Any:
    return await STEPS[step]()


@pytest.fixture(autouse=True)
def no_events_yet() -> None:
    events.clear()


def test_a_step_that_takes_too_long_is_stopped_and_that_is_recorded(dbos: type[DBOS]) -> None:
    with pytest.raises(DBOSStepTimeoutError, match=r"hangs.*0\.02"), SetWorkflowID("timed-out"):
        asyncio.run(run_timed("hangs"))

    assert events == ["cleaned up"]
    step = DBOS.list_workflow_steps("timed-out")[0]
    assert isinstance(step["error"], DBOSStepTimeoutError)
    with pytest.raises(DBOSStepTimeoutError):
        DBOS.get_result("timed-out")


def test_a_step_within_its_time_is_left_alone(dbos: type[DBOS]) -> None:
    assert asyncio.run(run_timed("quick_enough")) == "quick"


def test_each_attempt_has_the_whole_time(dbos: type[DBOS]) -> None:
    assert asyncio.run(run_timed("hangs_twice")) == "third"
    with pytest.raises(DBOSMaxStepRetriesExceeded) as caught:
        asyncio.run(run_timed("hangs_always"))
    assert [type(error) for error in caught.value.errors] == [DBOSStepTimeoutError] * 2


def test_a_step_that_completes_while_it_is_stopped_has_completed(dbos: type[DBOS]) -> None:
    assert asyncio.run(run_timed("completes_when_stopped")) == "completed"


def test_outside_a_workflow_there_is_no_timeout(dbos: type[DBOS]) -> None:
    @DBOS.step(timeout_seconds=0.001)
    async def slower() -> str:
        await asyncio.sleep(0.01)
        return "done"

    assert asyncio.run(slower()) == "done"


def test_a_preemptible_step_is_stopped_when_its_workflow_is_cancelled(
    dbos: type[DBOS], database: Any
) -> None:
    running = Signal()
    runs: list[int] = []

    @DBOS.step(preemptible=True, timeout_seconds=60)
    async def long_step() -> str:
        runs.append(1)
        running.set()
        if len(runs) == 1:
            try:
                await hang()
            finally:
                events.append("stopped")
        return "second run"

    @DBOS.workflow()
    async def around_long_step() -> str:
        try:
            return await long_step()
        except DBOSWorkflowCancelledError:
            events.append("cancelled")
            raise

    with SetWorkflowID("preempted"):
        handle = DBOS.start_workflow(around_long_step)
    running.wait()
    DBOS.cancel_workflow("preempted")

    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    assert events == ["stopped", "cancelled"]
    assert stored(database, "preempted", "status") == "CANCELLED"
    assert steps_of("preempted") == []
    assert DBOS.resume_workflow("preempted").get_result() == "second run"


def test_a_preemptible_step_of_a_workflow_that_goes_on_is_an_ordinary_one(
    dbos: type[DBOS],
) -> None:
    @DBOS.step(preemptible=True)
    async def short_step() -> str:
        await asyncio.sleep(0)
        return "done"

    @DBOS.workflow()
    async def around_short_step() -> str:
        return await short_step() + await short_step()

    assert asyncio.run(around_short_step()) == "donedone"


def test_a_cancelled_workflow_notices_at_its_next_operation_and_cleans_up(
    dbos: type[DBOS],
) -> None:
    gate = Gate()

    @DBOS.step()
    def after_cancel() -> None: ...

    @DBOS.workflow()
    def goes_on() -> None:
        gate.pass_through()
        try:
            after_cancel()
            events.append("went on")
        except Exception:
            events.append("swallowed")
        finally:
            events.append("finally")
            after_cancel()
            events.append("wrote after cancel")

    with SetWorkflowID("noticed"):
        handle = DBOS.start_workflow(goes_on)
    gate.reached.wait()
    DBOS.cancel_workflow("noticed")
    gate.open.set()

    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    assert events == ["finally"]
    assert steps_of("noticed") == []


def test_a_cancelled_workflow_ends_cancelled_even_if_it_returns(
    dbos: type[DBOS], database: Any
) -> None:
    gate = Gate()

    @DBOS.workflow()
    def returns_anyway() -> str:
        gate.pass_through()
        return "result"

    with SetWorkflowID("returned-anyway"):
        handle = DBOS.start_workflow(returns_anyway)
    gate.reached.wait()
    DBOS.cancel_workflow("returned-anyway")
    gate.open.set()

    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    assert stored(database, "returned-anyway", "status") == "CANCELLED"
    assert DBOS.resume_workflow("returned-anyway").get_result() == "result"


def test_cancelling_what_has_ended_or_does_not_exist_changes_nothing(dbos: type[DBOS]) -> None:
    with SetWorkflowID("ended"):
        asyncio.run(run_timed("quick_enough"))

    DBOS.cancel_workflows(["ended", "nobody"])

    assert DBOS.get_result("ended") == "quick"
