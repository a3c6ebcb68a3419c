"""Concurrent steps of coroutine workflows, and durable waits for the first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from tests.workflows.support import Crashes, Gate, steps_of

crashes = Crashes()
ran: list[str] = []


@DBOS.step()
async def after(pauses: int, name: str) -> str:
    for _ in range(pauses):
        await asyncio.sleep(0.001)
    ran.append(name)
    if name == "bad":
        raise ValueError(name)
    return name


@DBOS.step()
def in_thread(name: str) -> str:
    ran.append(name)
    return name


@DBOS.workflow()
async def in_parallel(names: list[str]) -> list[str]:
    pauses = range(len(names), 0, -1) if len(names) < 10 else [0] * len(names)
    tasks = [asyncio.create_task(after(n, name)) for n, name in zip(pauses, names, strict=True)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    crashes.here()
    return [result if isinstance(result, str) else repr(result) for result in results]


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()
    crashes.arm(0)


def test_parallel_steps_are_numbered_in_the_order_of_their_tasks(dbos: type[DBOS]) -> None:
    with SetWorkflowID("parallel"):
        assert asyncio.run(in_parallel(["a", "b", "c"])) == ["a", "b", "c"]

    assert ran == ["c", "b", "a"]
    outputs = [step["output"] for step in DBOS.list_workflow_steps("parallel")]
    assert outputs == ["a", "b", "c"]


def test_parallel_steps_are_replayed_as_they_were(dbos: type[DBOS]) -> None:
    crashes.arm()

    with SetWorkflowID("parallel-replay"):
        handle = DBOS.start_workflow(in_parallel, ["a", "bad", "c"])

    assert handle.get_result() == ["a", "ValueError('bad')", "c"]
    assert sorted(ran) == ["a", "bad", "c"]


def test_many_parallel_steps_are_all_stored(dbos: type[DBOS]) -> None:
    names = [str(n) for n in range(300)]

    with SetWorkflowID("many"):
        assert asyncio.run(in_parallel(names)) == names

    assert [number for number, _ in steps_of("many")] == list(range(1, 301))


def test_sync_steps_may_run_in_threads_of_a_coroutine_workflow(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    async def uses_threads() -> str:
        return await asyncio.to_thread(in_thread, "one") + await asyncio.to_thread(in_thread, "two")

    with SetWorkflowID("threads"):
        assert asyncio.run(uses_threads()) == "onetwo"

    assert steps_of("threads") == [(1, "in_thread"), (2, "in_thread")]


def test_asyncio_wait_returns_the_same_tasks_on_replay(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    async def first_of_three() -> list[str]:
        tasks = [asyncio.create_task(after(n, name)) for n, name in ((60, "slow"), (0, "quick"))]
        done, pending = await DBOS.asyncio_wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winners = [task.result() for task in done]
        rest, nobody = await DBOS.asyncio_wait(pending)
        crashes.here()
        return winners + [task.result() for task in rest] + [str(len(nobody))]

    crashes.arm()
    with SetWorkflowID("waits"):
        handle = DBOS.start_workflow(first_of_three)

    assert handle.get_result() == ["quick", "slow", "0"]
    assert steps_of("waits") == [
        (1, "DBOS.asyncio_wait"),
        (2, "after"),
        (3, "after"),
        (4, "DBOS.asyncio_wait"),
    ]


def test_asyncio_wait_gives_up_after_its_timeout_and_on_replay_too(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    async def impatient() -> tuple[int, int, int]:
        task = asyncio.create_task(after(20, "late"))
        done, pending = await DBOS.asyncio_wait([task], timeout=0)
        await task
        again, _ = await DBOS.asyncio_wait([task])
        crashes.here()
        return len(done), len(pending), len(again)

    crashes.arm()

    assert DBOS.start_workflow(impatient).get_result() == (0, 1, 1)


def test_asyncio_wait_outside_a_workflow_is_the_ordinary_one(dbos: type[DBOS]) -> None:
    async def main() -> tuple[int, int]:
        tasks = [asyncio.create_task(asyncio.sleep(0))]
        done, pending = await DBOS.asyncio_wait(tasks)
        return len(done), len(pending)

    assert asyncio.run(main()) == (1, 0)


@DBOS.workflow()
def at_gate(number: int) -> int:
    gates[number].pass_through()
    return number


gates = [Gate() for _ in range(6)]


def test_wait_first_finds_the_workflow_that_ended(dbos: type[DBOS]) -> None:
    handles = [DBOS.start_workflow(at_gate, n) for n in (0, 1)]
    gates[1].open.set()

    first: Any = DBOS.wait_first(handles)

    assert (first.workflow_id, first.get_result()) == (handles[1].workflow_id, 1)
    gates[0].open.set()
    handles[0].get_result()
    assert DBOS.wait_first(handles) is handles[0]


def test_wait_first_in_a_workflow_is_recorded(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    def waits_for_first() -> int:
        handles = [DBOS.start_workflow(at_gate, n) for n in (2, 3)]
        first: Any = DBOS.wait_first(handles)
        number = int(first.get_result())
        gates[2].open.set()
        handles[0].get_result()
        crashes.here()
        return number

    @DBOS.workflow()
    async def waits_for_first_async() -> int:
        handles = [await DBOS.start_workflow_async(at_gate, n) for n in (4, 5)]
        first: Any = await DBOS.wait_first_async(handles)
        number = int(await first.get_result())
        gates[4].open.set()
        await handles[0].get_result()
        crashes.here()
        return number

    for name, function, open_first in (
        ("first", waits_for_first, 3),
        ("first-async", waits_for_first_async, 5),
    ):
        crashes.arm()
        gates[open_first].open.set()
        with SetWorkflowID(name):
            handle: Any = DBOS.start_workflow(function)
        assert handle.get_result() == open_first
        assert [step for _, step in steps_of(name)] == [
            "at_gate",
            "at_gate",
            "DBOS.waitFirst",
            "DBOS.getResult",
            "DBOS.getResult",
        ]


def test_wait_first_needs_different_workflows(dbos: type[DBOS]) -> None:
    handle: Any = DBOS.retrieve_workflow("some", existing_workflow=False)

    with pytest.raises(ValueError, match="at least one"):
        DBOS.wait_first([])
    with pytest.raises(ValueError, match="two handles of one workflow"):
        DBOS.wait_first([handle, handle])
