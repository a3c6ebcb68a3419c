"""What a workflow costs in calls of the database: each is one round trip and one commit."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pyengine import DBOS
from pyengine.current import get_runtime
from pyengine.error import DBOSAwaitedWorkflowCancelledError

waiting, go_on = threading.Event(), threading.Event()


@DBOS.step()
def plus(left: int, right: int) -> int:
    return left + right


@DBOS.workflow()
def sums(count: int) -> int:
    total = 0
    for number in range(count):
        total = plus(total, number)
    return total


@DBOS.workflow()
def sums_then_waits(count: int) -> int:
    total = 0
    for number in range(count):
        total = plus(total, number)
    waiting.set()
    go_on.wait(30)
    return total


@DBOS.step()
async def plus_async(left: int, right: int) -> int:
    return left + right


@DBOS.workflow()
async def sums_async(count: int) -> int:
    total = 0
    for number in range(count):
        total = await plus_async(total, number)
    return total


def round_trips() -> int:
    return get_runtime("test").engine.gateway.round_trips_of_writes


def test_a_workflow_of_n_steps_takes_n_plus_two_round_trips(dbos: type[DBOS]) -> None:
    before = round_trips()

    assert sums(5) == 10

    assert round_trips() - before == 5 + 2


def test_an_async_workflow_of_n_steps_takes_n_plus_two_round_trips(dbos: type[DBOS]) -> None:
    before = round_trips()

    assert asyncio.run(sums_async(5)) == 10

    assert round_trips() - before == 5 + 2


def test_async_workflows_side_by_side_share_their_round_trips(dbos: type[DBOS]) -> None:
    async def run() -> list[int]:
        return await asyncio.gather(*(sums_async(5) for _ in range(16)))

    before = round_trips()

    assert asyncio.run(run()) == [10] * 16

    # The first to start does not wait for the others; from then on they go together.
    assert round_trips() - before <= 1 + 5 + 2


def test_a_replay_is_one_call_before_new_work(dbos: type[DBOS]) -> None:
    handle = DBOS.start_workflow(sums_then_waits, 5)
    assert waiting.wait(30)
    DBOS.cancel_workflow(handle.workflow_id)
    go_on.set()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    before = round_trips()

    resumed = DBOS.resume_workflow(handle.workflow_id)

    assert resumed.get_result() == 10
    assert (
        round_trips() - before == 1
    )  # the outcome; the claim that brought the history is no write
