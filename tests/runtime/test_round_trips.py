"""What a workflow costs in calls of the database: each is one round trip and one commit."""

from __future__ import annotations

import asyncio

from pyengine import DBOS
from pyengine.current import get_runtime


@DBOS.step()
def plus(left: int, right: int) -> int:
    return left + right


@DBOS.workflow()
def sums(count: int) -> int:
    total = 0
    for number in range(count):
        total = plus(total, number)
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
