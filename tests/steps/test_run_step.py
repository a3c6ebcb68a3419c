"""Steps in every form: decorated, given as a function, reserved, nested, outside workflows."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID, StepOptions, StepReservation
from pyengine.errors import DBOSException
from tests.workflows.support import Crashes, steps_of

crashes = Crashes()
seen: list[Any] = []


def glue(left: str, right: str = "!") -> str:
    seen.append((DBOS.workflow_id, DBOS.step_id))
    return left + right


async def glue_async(left: str, right: str = "!") -> str:
    seen.append((DBOS.workflow_id, DBOS.step_id))
    return left + right


@DBOS.step()
def decorated(text: str) -> str:
    seen.append((DBOS.workflow_id, DBOS.step_id))
    return text


@DBOS.step()
async def decorated_async(text: str) -> str:
    seen.append((DBOS.workflow_id, DBOS.step_id))
    return text


@DBOS.step()
def outer_step() -> str:
    return decorated("inner") + DBOS.run_step({"name": "nested"}, glue, "a")


@DBOS.step()
async def outer_step_async() -> str:
    return await decorated_async("inner") + await DBOS.run_step_async(None, glue_async, "a")


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


def test_any_function_can_be_a_step(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    def runs_functions() -> list[Any]:
        return [
            DBOS.run_step(None, glue, "a"),
            DBOS.run_step({}, glue, "a", right="?"),
            DBOS.run_step({"name": "named"}, lambda: 3),
            DBOS.run_step(None, functools.partial(glue, "p")),
            DBOS.run_step(None, glue_async, "bridged"),
            DBOS.run_step({"name": "again"}, decorated, "b"),
        ]

    with SetWorkflowID("functions"):
        assert runs_functions() == ["a!", "a?", 3, "p!", "bridged!", "b"]

    assert steps_of("functions") == [
        (1, "glue"),
        (2, "glue"),
        (3, "named"),
        (4, "partial"),
        (5, "glue_async"),
        (6, "again"),
    ]
    assert seen[0] == ("functions", 1)


def test_any_function_can_be_a_coroutine_step(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    async def runs_functions_async() -> list[Any]:
        here = threading.current_thread()
        return [
            await DBOS.run_step_async({"name": "named"}, glue_async, "a", right="?"),
            await DBOS.run_step_async(None, glue, "thread"),
            await DBOS.run_step_async(
                {"name": "where"}, lambda: threading.current_thread() != here
            ),
        ]

    with SetWorkflowID("functions-async"):
        assert asyncio.run(runs_functions_async()) == ["a?", "thread!", True]

    assert steps_of("functions-async") == [(1, "named"), (2, "glue"), (3, "where")]
    assert seen == [("functions-async", 1), ("functions-async", 2)]


def test_a_function_step_has_the_options_of_a_decorated_one(dbos: type[DBOS]) -> None:
    calls: list[int] = []

    def flaky() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise ValueError
        return len(calls)

    options: StepOptions = {"retries_allowed": True, "interval_seconds": 0, "max_attempts": 3}

    @DBOS.workflow()
    def runs_flaky() -> int:
        return DBOS.run_step(options, flaky)

    assert runs_flaky() == 3
    with pytest.raises(DBOSException, match="unknown option"):
        DBOS.run_step({"retry": True}, flaky)  # type: ignore[call-overload]
    with pytest.raises(DBOSException, match="async function"):
        DBOS.run_step({"timeout_seconds": 1}, flaky)


def test_outside_a_workflow_a_step_is_a_plain_call(dbos: type[DBOS]) -> None:
    assert decorated("plain") == "plain"
    assert DBOS.run_step({"name": "n"}, glue, "a") == "a!"
    assert DBOS.run_step(None, glue_async, "a") == "a!"
    assert asyncio.run(decorated_async("plain")) == "plain"
    assert asyncio.run(DBOS.run_step_async(None, glue, "a")) == "a!"

    assert seen == [(None, None)] * 5


def test_a_step_inside_a_step_is_a_plain_call(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    def around() -> str:
        return outer_step()

    @DBOS.workflow()
    async def around_async() -> str:
        return await outer_step_async()

    with SetWorkflowID("nested"):
        assert around() == "innera!"
    with SetWorkflowID("nested-async"):
        assert asyncio.run(around_async()) == "innera!"

    assert steps_of("nested") == [(1, "outer_step")]
    assert steps_of("nested-async") == [(1, "outer_step_async")]
    assert seen[:2] == [("nested", 1)] * 2


def test_step_id_and_status_are_known_only_inside_steps(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    def looks() -> list[Any]:
        before = (DBOS.step_id, DBOS.step_status)
        decorated("x")
        return [*before, DBOS.step_id]

    with SetWorkflowID("looks"):
        assert looks() == [None, None, None]

    assert seen == [("looks", 1)]
    assert (DBOS.step_id, DBOS.step_status, DBOS.workflow_id) == (None, None, None)


def test_a_reservation_is_used_later_under_its_number(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    def reserves() -> list[str]:
        first, unused, third = (DBOS.reserve_step() for _ in range(3))
        late = third.run({"name": "third"}, glue, "3")
        early = first.run(None, glue_async, "1")
        decorated("4")
        crashes.here()
        return [late, early, str(unused.step_id)]

    crashes.arm()
    with SetWorkflowID("reserves"):
        handle = DBOS.start_workflow(reserves)

    assert handle.get_result() == ["3!", "1!", "2"]
    assert steps_of("reserves") == [(1, "glue_async"), (3, "third"), (4, "decorated")]
    assert len(seen) == 3


def test_reservations_make_concurrent_branches_deterministic(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    async def branches() -> list[str]:
        async def branch(name: str, reserved: list[StepReservation]) -> str:
            first = await reserved[0].run_async({"name": f"{name}1"}, glue_async, name)
            return str(await reserved[1].run_async({"name": f"{name}2"}, glue, first))

        plans = {name: [DBOS.reserve_step(), DBOS.reserve_step()] for name in "ab"}
        return list(await asyncio.gather(*(branch(*plan) for plan in plans.items())))

    with SetWorkflowID("branches"):
        assert asyncio.run(branches()) == ["a!!", "b!!"]

    assert steps_of("branches") == [(1, "a1"), (2, "a2"), (3, "b1"), (4, "b2")]


def test_a_reservation_serves_once_and_only_its_own_workflow(dbos: type[DBOS]) -> None:
    kept: list[StepReservation] = []

    @DBOS.workflow()
    def keeps() -> None:
        kept.append(DBOS.reserve_step())

    @DBOS.step()
    def uses_in_step() -> str:
        return str(kept[-1].run(None, glue, "x"))

    @DBOS.workflow()
    def misuses() -> list[str]:
        outcomes = []
        own = DBOS.reserve_step()
        own.run(None, glue, "x")
        kept.append(own)
        for use in (kept[0], own):
            with pytest.raises(DBOSException) as caught:
                use.run(None, glue, "x")
            outcomes.append(str(caught.value))
        with pytest.raises(DBOSException, match="belongs to the body"):
            uses_in_step()
        return outcomes

    keeps()
    foreign, twice = misuses()

    assert "belongs to the body" in foreign
    assert "used already" in twice
    with pytest.raises(DBOSException, match="outside the body"):
        DBOS.reserve_step()
