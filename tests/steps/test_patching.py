"""Patches: a workflow that was beyond the change goes on as it began, new ones take the changed code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.current import get_runtime
from pyengine.error import DBOSException, DBOSUnexpectedStepError
from tests.workflows.support import Crashes, declare_dead, pending_elsewhere, steps_of

Row = tuple[int, str]
crashes = Crashes()


@DBOS.step()
def first() -> str:
    return "first"


@DBOS.step()
def old() -> str:
    return "old"


@DBOS.step()
def new() -> str:
    return "new"


@DBOS.step()
def last() -> str:
    return "last"


@DBOS.workflow()
def changed() -> list[str]:
    parts = [first(), new() if DBOS.patch("change") else old(), last()]
    crashes.here()
    return parts


@DBOS.workflow()
async def changed_async() -> list[str]:
    parts = [await first_async(), new() if await DBOS.patch_async("change") else old(), last()]
    crashes.here()
    return parts


@DBOS.step(name="first")
async def first_async() -> str:
    return "first"


@DBOS.workflow()
def deprecated() -> list[str]:
    DBOS.deprecate_patch("change")
    parts = [first()]
    DBOS.deprecate_patch("change")
    return [*parts, new(), last()]


@DBOS.workflow()
async def deprecated_async() -> list[str]:
    parts = [await first_async()]
    await DBOS.deprecate_patch_async("change")
    return [*parts, new(), last()]


def interrupted(
    database: psycopg.Connection[Any], workflow_id: str, name: str, steps: list[Row]
) -> list[str]:
    """Recover a workflow with this history: its result."""
    executor_id = pending_elsewhere(database, workflow_id, name)
    for step_id, step in steps:
        database.execute(
            "insert into pyengine.steps (workflow_id, step_id, name, attempt, started_at, completed_at,"
            " serialization, output) values (%s, %s, %s, 1, now(), now(), 'json', to_json(%s::text))",
            [workflow_id, step_id, step, step],
        )
    declare_dead(database, executor_id)
    result: list[str] = DBOS.retrieve_workflow(workflow_id).get_result()
    return result


NAMES = ["changed", "changed_async"]
MARKER = "DBOS.patch-change"


@pytest.mark.parametrize("workflow", [changed, changed_async])
def test_a_new_workflow_takes_the_changed_code_and_says_so(
    dbos: type[DBOS], workflow: Callable[[], Any]
) -> None:
    crashes.arm()
    with SetWorkflowID(f"new {workflow.__name__}"):
        handle = DBOS.start_workflow(workflow)

    assert handle.get_result() == ["first", "new", "last"]
    assert steps_of(handle.workflow_id) == [(1, "first"), (2, MARKER), (3, "new"), (4, "last")]


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_that_was_beyond_the_change_goes_on_with_the_old_code(
    dbos: type[DBOS], database: psycopg.Connection[Any], name: str
) -> None:
    result = interrupted(database, f"beyond {name}", name, [(1, "first"), (2, "old")])

    assert result == ["first", "old", "last"]
    assert steps_of(f"beyond {name}") == [(1, "first"), (2, "old"), (3, "last")]


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_that_was_before_the_change_takes_the_changed_code(
    dbos: type[DBOS], database: psycopg.Connection[Any], name: str
) -> None:
    assert interrupted(database, f"before {name}", name, [(1, "first")]) == ["first", "new", "last"]


@pytest.mark.parametrize("name", ["deprecated", "deprecated_async"])
def test_a_deprecated_patch_passes_over_the_marker_where_it_is(
    dbos: type[DBOS], database: psycopg.Connection[Any], name: str
) -> None:
    marked = [(1, "first"), (2, MARKER), (3, "new")]
    unmarked = [(1, "first"), (2, "new")]

    assert interrupted(database, f"marked {name}", name, marked) == ["first", "new", "last"]
    assert interrupted(database, f"unmarked {name}", name, unmarked) == ["first", "new", "last"]
    assert steps_of(f"unmarked {name}") == [(1, "first"), (2, "new"), (3, "last")]


def test_without_a_patch_changed_code_is_stopped(
    dbos: type[DBOS], database: psycopg.Connection[Any]
) -> None:
    with pytest.raises(DBOSUnexpectedStepError):
        interrupted(database, "no patch", "deprecated", [(1, "first"), (2, "old")])


@DBOS.workflow()
async def patches_among_siblings() -> list[bool | str]:
    async def branch(name: str) -> bool | str:
        return await DBOS.patch_async(name)

    results = await asyncio.gather(branch("a"), first_async(), branch("b"), first_async())
    crashes.here()
    return list(results)


def test_patches_among_sibling_tasks_are_numbered_in_the_order_of_the_tasks(
    dbos: type[DBOS],
) -> None:
    crashes.arm()
    with SetWorkflowID("siblings"):
        handle = DBOS.start_workflow(patches_among_siblings)

    assert handle.get_result() == [True, "first", True, "first"]
    assert steps_of("siblings") == [
        (1, "DBOS.patch-a"),
        (2, "first"),
        (3, "DBOS.patch-b"),
        (4, "first"),
    ]


def test_a_patch_is_for_the_body_of_a_workflow(dbos: type[DBOS]) -> None:
    @DBOS.step()
    def in_a_step() -> None:
        DBOS.patch("x")

    @DBOS.workflow()
    def workflow() -> None:
        in_a_step()

    for call in (lambda: DBOS.patch("x"), lambda: DBOS.deprecate_patch("x"), workflow):
        with pytest.raises(DBOSException, match="outside the body"):
            call()
    with pytest.raises(DBOSException, match="name"):
        DBOS.patch("")


def test_enable_patching_pins_the_version(launch: Callable[..., None]) -> None:
    launch(enable_patching=True)

    assert get_runtime("test").application.version == "PATCHING_ENABLED"
    assert get_runtime("test").application.version_is_pinned
