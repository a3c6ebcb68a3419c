"""Ids: who gets the one that SetWorkflowID chose, and what can't be an id."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.errors import DBOSConflictingWorkflowError, DBOSException, DBOSSerializationError


@DBOS.workflow()
def own_id() -> str:
    return str(DBOS.workflow_id)


@DBOS.workflow()
async def own_id_async() -> str:
    return str(DBOS.workflow_id)


@DBOS.step()
def chosen_in_step() -> str | None:
    return DBOS.workflow_id


@DBOS.workflow()
def other(value: Any = None) -> None:
    return None


@DBOS.workflow()
def parent_of_two() -> list[str]:
    """The second child is started in a block of its own."""
    first = own_id()
    with SetWorkflowID(f"{DBOS.workflow_id}-chosen"):
        second = own_id()
    return [first, second]


def test_only_the_first_start_in_a_block_takes_the_id(
    dbos: type[DBOS], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pyengine"), SetWorkflowID("only-first"):
        first, second = own_id(), own_id()

    assert first == "only-first"
    assert second != "only-first"
    assert "only-first" in caplog.text


def test_a_second_block_with_the_same_id_finds_the_first_workflow(dbos: type[DBOS]) -> None:
    runs: list[int] = []

    @DBOS.workflow()
    def count_runs() -> int:
        runs.append(1)
        return len(runs)

    for _ in range(2):
        with SetWorkflowID("counted"):
            assert count_runs() == 1

    assert runs == [1]


def test_the_id_of_the_surrounding_block_does_not_reach_into_a_workflow(dbos: type[DBOS]) -> None:
    with SetWorkflowID("outer"):
        ids = parent_of_two()

    assert ids == ["outer-1", "outer-chosen"]


def test_a_workflow_leaves_the_block_of_its_caller_as_it_was(dbos: type[DBOS]) -> None:
    with SetWorkflowID("around"):
        with SetWorkflowID("inside"):
            assert own_id() == "inside"
        assert own_id() == "around"


def test_a_block_can_be_used_again_but_not_inside_itself(dbos: type[DBOS]) -> None:
    block = SetWorkflowID("again")

    with block:
        assert own_id() == "again"
        with pytest.raises(DBOSException, match="entered already"), block:
            pass
    with block:
        assert own_id() == "again"


def test_a_start_that_fails_uses_up_the_id(dbos: type[DBOS]) -> None:
    with SetWorkflowID("taken"):
        other()

    with SetWorkflowID("taken"):
        with pytest.raises(DBOSConflictingWorkflowError):
            own_id()
        assert own_id() != "taken"
    with SetWorkflowID("not-stored"):
        with pytest.raises(DBOSSerializationError):
            other(object())
        assert own_id() != "not-stored"


def test_tasks_of_a_block_share_its_one_id(dbos: type[DBOS]) -> None:
    async def main() -> list[str]:
        with SetWorkflowID("shared"):
            tasks = [asyncio.create_task(own_id_async()) for _ in range(3)]
        return list(await asyncio.gather(*tasks))

    ids = asyncio.run(main())

    assert ids[0] == "shared"
    assert len(set(ids)) == 3


def test_tasks_with_blocks_of_their_own_do_not_disturb_each_other(dbos: type[DBOS]) -> None:
    async def one(name: str) -> str:
        with SetWorkflowID(name):
            await asyncio.sleep(0)
            return await own_id_async()

    async def main() -> list[str]:
        return list(await asyncio.gather(*[one(f"task-{n}") for n in range(5)]))

    assert asyncio.run(main()) == [f"task-{n}" for n in range(5)]


def test_a_started_workflow_takes_the_id_too(dbos: type[DBOS]) -> None:
    async def main() -> str:
        with SetWorkflowID("started-async"):
            handle = await DBOS.start_workflow_async(own_id_async)
        return await handle.get_result()

    with SetWorkflowID("started"):
        handle = DBOS.start_workflow(own_id)

    assert handle.get_result() == "started"
    assert asyncio.run(main()) == "started-async"


def test_a_step_outside_a_workflow_does_not_use_up_the_id(dbos: type[DBOS]) -> None:
    with SetWorkflowID("for-the-workflow"):
        assert chosen_in_step() is None
        assert own_id() == "for-the-workflow"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("", "blank"),
        (" \t\n", "blank"),
        ("a\x00b", "NUL"),
        ("é" * 257, "at most 512 bytes, this one has 514"),
        ("\ud800", "Unicode"),
        (7, "must be a str, not int"),
    ],
)
def test_what_cannot_be_an_id_is_refused_at_once(wrong: Any, words: str) -> None:
    with pytest.raises(DBOSException, match=words):
        SetWorkflowID(wrong)


@pytest.mark.parametrize("odd", ["x" * 512, "a b", "ключ/1", "'; drop table", '{"a": 1}', "%s\\n"])
def test_any_other_text_can_be_an_id(dbos: type[DBOS], odd: str) -> None:
    with SetWorkflowID(odd):
        assert own_id() == odd
    with SetWorkflowID(odd):
        assert DBOS.start_workflow(own_id).get_result() == odd


def test_an_unknown_reuse_policy_is_refused() -> None:
    with pytest.raises(DBOSException, match="use 'return-existing' or 'reject'"):
        SetWorkflowID("x", workflow_id_reuse_policy="replace")  # type: ignore[arg-type]
