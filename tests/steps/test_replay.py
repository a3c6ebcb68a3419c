"""Replays: what is recorded holds, and code that changed is told so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.errors import DBOSUnexpectedStepError
from tests.workflows.support import Crashes, steps_of, stored

crashes = Crashes()
calls: list[str] = []


@dataclass
class Parcel:
    weight: float
    sent: datetime


PARCEL = Parcel(1.5, datetime(2026, 1, 2, tzinfo=timezone.utc))
OUTPUTS: list[Any] = [None, (1, 2), {"a": {1: 2}}, PARCEL, b"\x00", "a\x00b", [float("-inf")]]


@DBOS.step()
def give(index: int) -> Any:
    calls.append(f"give {index}")
    return OUTPUTS[index]


@DBOS.step()
def refuse(text: str) -> None:
    calls.append(f"refuse {text}")
    raise LookupError(text)


@DBOS.step()
async def give_async(index: int) -> Any:
    calls.append(f"give {index}")
    return OUTPUTS[index]


@DBOS.workflow()
def gives_all() -> list[bool]:
    values = [give(index) for index in range(len(OUTPUTS))]
    crashes.here()
    return [a == b and type(a) is type(b) for a, b in zip(values, OUTPUTS, strict=True)]


@DBOS.workflow()
def refused_then_gives() -> str:
    reason = "none"
    try:
        refuse("no")
    except LookupError as error:
        reason = str(error)
    give(0)
    crashes.here()
    return reason


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    calls.clear()
    crashes.arm(0)


def test_a_replayed_output_is_equal_in_value_and_type(dbos: type[DBOS]) -> None:
    crashes.arm()

    assert all(DBOS.start_workflow(gives_all).get_result())
    assert calls == [f"give {n}" for n in range(len(OUTPUTS))]


def test_a_replayed_error_is_raised_with_its_type(dbos: type[DBOS]) -> None:
    crashes.arm()

    assert DBOS.start_workflow(refused_then_gives).get_result() == "no"
    assert calls == ["refuse no", "give 0"]


def test_every_crash_point_leads_to_the_same_result(dbos: type[DBOS]) -> None:
    points = iter(range(1, 100))
    left = 4

    @DBOS.workflow()
    def crashes_everywhere() -> list[int]:
        nonlocal left
        results = []
        for number in range(4):
            results.append(DBOS.run_step({"name": f"step {number}"}, next, points))
            if left == 4 - number:
                left -= 1
                crashes.arm()
                crashes.here()
        return results

    assert DBOS.start_workflow(crashes_everywhere).get_result() == [1, 2, 3, 4]


def test_arguments_of_replayed_steps_are_not_compared(dbos: type[DBOS]) -> None:
    runs: list[int] = []

    @DBOS.workflow()
    def other_argument() -> Any:
        runs.append(1)
        value = give(len(runs))
        crashes.here()
        return value

    crashes.arm()

    assert DBOS.start_workflow(other_argument).get_result() == (1, 2)
    assert calls == ["give 1"]


def test_code_that_calls_another_step_is_told_what_changed(dbos: type[DBOS], database: Any) -> None:
    runs: list[int] = []

    @DBOS.workflow()
    def changes() -> None:
        runs.append(1)
        give(0)
        if len(runs) == 1:
            give(1)
            crashes.arm()
            crashes.here()
        refuse("never called")

    with SetWorkflowID("changed"):
        handle = DBOS.start_workflow(changes)

    with pytest.raises(DBOSUnexpectedStepError) as caught:
        handle.get_result()
    for word in ("changed", "step 2", "refuse", "give"):
        assert word in str(caught.value).replace("Step", "step")
    assert stored(database, "changed", "status") == "ERROR"
    assert calls == ["give 0", "give 1"]


def test_code_that_calls_a_child_where_a_step_was_is_told_so(dbos: type[DBOS]) -> None:
    runs: list[int] = []

    @DBOS.workflow()
    def changes_to_child() -> None:
        runs.append(1)
        if len(runs) == 1:
            give(0)
            crashes.arm()
            crashes.here()
        gives_all()

    handle = DBOS.start_workflow(changes_to_child)

    with pytest.raises(DBOSUnexpectedStepError, match="gives_all"):
        handle.get_result()


def test_coroutine_steps_are_replayed(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    async def gives_async() -> list[Any]:
        values = [await give_async(n) for n in range(3)]
        crashes.here()
        return values

    crashes.arm()

    async def main() -> Any:
        with SetWorkflowID("replayed-async"):
            handle = await DBOS.start_workflow_async(gives_async)
        return await handle.get_result()

    assert asyncio.run(main()) == OUTPUTS[:3]
    assert calls == ["give 0", "give 1", "give 2"]
    assert steps_of("replayed-async") == [(n, "give_async") for n in (1, 2, 3)]


def test_steps_record_when_they_began_and_ended(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    async def takes_time() -> None:
        await DBOS.run_step_async({"name": "pause"}, asyncio.sleep, 0.03)

    with SetWorkflowID("timed"):
        asyncio.run(takes_time())

    step = DBOS.list_workflow_steps("timed")[0]
    began, ended = step["started_at_epoch_ms"], step["completed_at_epoch_ms"]
    assert began is not None
    assert ended is not None
    assert 25 <= ended - began < 5000
