"""Workflows that are started by workflows: their ids, their steps, and what a replay does with them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.errors import DBOSAwaitedWorkflowCancelledError, DBOSConflictingWorkflowError
from tests.workflows.support import Crashes, Gate, steps_of

crashes = Crashes()
runs: list[str | None] = []


@DBOS.workflow()
def child(value: int) -> int:
    runs.append(DBOS.workflow_id)
    return 10 * value


@DBOS.workflow()
async def child_async(value: int) -> int:
    runs.append(DBOS.workflow_id)
    return 10 * value


@DBOS.workflow()
def failing_child() -> None:
    raise KeyError("lost")


@DBOS.step()
def add(left: int, right: int) -> int:
    return left + right


@DBOS.workflow()
def calls_two() -> int:
    total = child(1) + child(2)
    crashes.here()
    return total


@DBOS.workflow()
async def calls_two_async() -> int:
    total = await child_async(1) + await child_async(2)
    crashes.here()
    return total


@DBOS.workflow()
def starts_two() -> int:
    handles = [DBOS.start_workflow(child, n) for n in (1, 2)]
    total = add(0, 0) + sum(handle.get_result() for handle in handles)
    crashes.here()
    return total


@DBOS.workflow()
async def starts_two_async() -> int:
    handles = [await DBOS.start_workflow_async(child_async, n) for n in (1, 2)]
    total = 0
    for handle in handles:
        total += await handle.get_result()
    crashes.here()
    return total


@DBOS.workflow()
def expects_failure() -> str:
    try:
        failing_child()
    except KeyError as error:
        add(1, 1)
        crashes.here()
        return f"no {error.args[0]}"
    return "found"


@DBOS.workflow()
def asks_by_id() -> Any:
    handle = DBOS.start_workflow(child, 3)
    return DBOS.get_result(handle.workflow_id)


@DBOS.workflow()
def starts_step() -> int:
    return DBOS.start_workflow(add, 1, 2).get_result()


def start(workflow_id: str, function: Any, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(function, *args)


CALLED = [(1, "child"), (2, "DBOS.getResult"), (3, "child"), (4, "DBOS.getResult")]
STARTED = [(1, "child"), (2, "child"), (3, "add"), (4, "DBOS.getResult"), (5, "DBOS.getResult")]
CALLED_ASYNC = [(n, name.replace("child", "child_async")) for n, name in CALLED]
STARTED_ASYNC = [
    (1, "child_async"),
    (2, "child_async"),
    (3, "DBOS.getResult"),
    (4, "DBOS.getResult"),
]
SHAPES = [
    (calls_two, CALLED, [1, 3]),
    (calls_two_async, CALLED_ASYNC, [1, 3]),
    (starts_two, STARTED, [1, 2]),
    (starts_two_async, STARTED_ASYNC, [1, 2]),
]


@pytest.mark.parametrize(("parent", "steps", "children"), SHAPES)
def test_children_are_numbered_by_the_steps_of_their_parent(
    dbos: type[DBOS], parent: Any, steps: list[tuple[int, str]], children: list[int]
) -> None:
    name = f"numbered-{parent.__name__}"

    assert start(name, parent).get_result() == 30

    assert steps_of(name) == steps
    for number in children:
        status = DBOS.get_workflow_status(f"{name}-{number}")
        assert status is not None
        assert (status.status, status.parent_workflow_id) == ("SUCCESS", name)


@pytest.mark.parametrize(("parent", "steps", "children"), SHAPES)
def test_a_recovered_parent_finds_its_children_and_runs_none_again(
    dbos: type[DBOS], parent: Any, steps: list[tuple[int, str]], children: list[int]
) -> None:
    name = f"recovered-{parent.__name__}"
    runs.clear()
    crashes.arm()

    assert start(name, parent).get_result() == 30

    assert sorted(map(str, runs)) == [f"{name}-{n}" for n in children]
    assert steps_of(name) == steps


def test_a_childs_error_reaches_its_parent_with_its_type_and_again_on_replay(
    dbos: type[DBOS],
) -> None:
    crashes.arm()

    assert start("family", expects_failure).get_result() == "no lost"

    assert steps_of("family") == [(1, "failing_child"), (2, "DBOS.getResult"), (3, "add")]


def test_the_steps_of_a_parent_name_the_children(dbos: type[DBOS]) -> None:
    start("names", calls_two).get_result()

    steps = DBOS.list_workflow_steps("names")

    assert [step["child_workflow_id"] for step in steps] == [
        "names-1",
        "names-1",
        "names-3",
        "names-3",
    ]
    assert [step["output"] for step in steps] == [None] * 4


def test_a_result_that_is_asked_for_by_id_is_one_step(dbos: type[DBOS]) -> None:
    assert start("by-id", asks_by_id).get_result() == 30

    assert steps_of("by-id") == [(1, "child"), (2, "DBOS.getResult")]


def test_a_step_that_is_started_is_a_child_with_one_step(dbos: type[DBOS]) -> None:
    assert start("of-step", starts_step).get_result() == 3

    assert steps_of("of-step") == [(1, "<temp>.add"), (2, "DBOS.getResult")]
    assert steps_of("of-step-1") == [(1, "add")]


def test_a_child_with_the_id_of_another_function_is_refused_and_that_is_recorded(
    dbos: type[DBOS],
) -> None:
    @DBOS.workflow()
    def takes_foreign_id() -> str:
        with SetWorkflowID("foreign"):
            try:
                child(1)
            except DBOSConflictingWorkflowError:
                outcome = "refused"
            else:
                outcome = "attached"
        add(1, 1)
        crashes.here()
        return outcome

    start("foreign", add, 1, 1).get_result()
    crashes.arm()

    assert start("takes-foreign", takes_foreign_id).get_result() == "refused"
    assert steps_of("takes-foreign") == [(1, "child"), (3, "add")]


def test_a_cancelled_child_is_an_error_in_its_parent(dbos: type[DBOS]) -> None:
    gate = Gate()

    @DBOS.workflow()
    def stubborn() -> None:
        gate.pass_through()

    @DBOS.workflow()
    def parent() -> str:
        try:
            stubborn()
        except DBOSAwaitedWorkflowCancelledError:
            return "child cancelled"
        return "child done"

    handle = start("parent-of-cancelled", parent)
    gate.reached.wait()
    DBOS.cancel_workflow("parent-of-cancelled-1")
    gate.open.set()

    assert handle.get_result() == "child cancelled"


def test_workflows_cannot_be_started_inside_a_step(dbos: type[DBOS]) -> None:
    @DBOS.step()
    def calls() -> int:
        return child(1)

    @DBOS.step()
    def starts() -> Any:
        return DBOS.start_workflow(child, 1)

    @DBOS.step()
    async def calls_async() -> int:
        return await child_async(1)

    @DBOS.workflow()
    def around(step: str) -> None:
        {"calls": calls, "starts": starts}[step]()

    @DBOS.workflow()
    async def around_async() -> None:
        await calls_async()

    for step in ("calls", "starts"):
        with pytest.raises(AssertionError, match="inside a step"):
            around(step)
    with pytest.raises(AssertionError, match="inside a step"):
        asyncio.run(around_async())


def test_a_coroutine_workflow_may_call_a_sync_one_and_start_one_without_waiting(
    dbos: type[DBOS],
) -> None:
    @DBOS.workflow()
    async def mixed() -> tuple[int, str]:
        called = child(1)
        handle = DBOS.start_workflow(child_async, 2)
        return called, handle.workflow_id

    called, started = start("mixed", mixed).get_result()

    assert (called, started) == (10, "mixed-3")
    assert DBOS.get_result("mixed-3") == 20


@DBOS.workflow()
def parent_of_two() -> list[int]:
    return [child(1), child(2)]


def test_a_workflow_with_the_longest_id_has_children(dbos: type[DBOS]) -> None:
    runs.clear()
    longest = "ä" * 256

    with SetWorkflowID(longest):
        assert parent_of_two() == [10, 20]

    assert len(set(runs)) == 2
    assert all(len(str(each).encode()) <= 512 for each in runs)
    assert all(str(each).startswith("ä" * 200) for each in runs)
