"""Debouncer: calls with a key put a workflow off; it starts with the inputs of the last one."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Debouncer, Queue, SetEnqueueOptions, SetWorkflowID
from pyengine.error import (
    DBOSConflictingWorkflowError,
    DBOSException,
    DBOSQueueDeduplicatedError,
    DBOSWorkflowFunctionNotFoundError,
)
from tests.workflows.support import Crashes, steps_of, stored

slow_lane = Queue("slow_lane")
crashes = Crashes()
started: list[tuple[str, float]] = []


@DBOS.workflow()
def keep(value: str) -> str:
    started.append((value, time.monotonic()))
    return value


@DBOS.workflow()
async def keep_async(value: str, *, suffix: str = "") -> str:
    return value + suffix


@DBOS.workflow()
def other(value: str) -> str:
    return "other " + value


keeper = Debouncer.create(keep)
async_keeper = Debouncer.create_async(keep_async)


def release(database: psycopg.Connection[Any], workflow_id: str) -> None:
    """Let a workflow that was put off start now."""
    assert stored(database, workflow_id, "status") == "DELAYED"
    DBOS.set_workflow_delay(workflow_id, delay_seconds=0)


def test_the_last_of_many_calls_runs_once_and_in_time(dbos: type[DBOS]) -> None:
    started.clear()

    handles = [keeper.debounce("in-time", 0.5, value) for value in ("a", "b", "c")]
    last_call = time.monotonic()

    assert [handle.get_result() for handle in handles] == ["c", "c", "c"]
    assert [value for value, _ in started] == ["c"]
    assert 0.45 < started[0][1] - last_call < 1.5
    assert len({handle.workflow_id for handle in handles}) == 1


def test_a_thousand_calls_at_once_start_one_workflow(
    dbos: type[DBOS], database: psycopg.Connection[Any]
) -> None:
    started.clear()
    ids: set[str] = set()

    def call(thread: int) -> None:
        for n in range(50):
            ids.add(keeper.debounce("thousand", 300, f"{thread}-{n}").workflow_id)

    threads = [threading.Thread(target=call, args=[n]) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = keeper.debounce("thousand", 300, "last")
    release(database, last.workflow_id)

    assert ids == {last.workflow_id}
    assert last.get_result() == "last"
    assert [value for value, _ in started] == ["last"]


def test_async_workflows_and_async_callers(
    dbos: type[DBOS], database: psycopg.Connection[Any]
) -> None:
    async def main() -> str:
        first = await async_keeper.debounce_async("async", 300, "a")
        second = await async_keeper.debounce_async("async", 300, "b", suffix="!")
        assert first.workflow_id == second.workflow_id
        release(database, first.workflow_id)
        return await first.get_result()

    assert asyncio.run(main()) == "b!"


def test_a_debouncer_has_its_queue(dbos: type[DBOS], database: psycopg.Connection[Any]) -> None:
    by_object = Debouncer.create(keep, queue=slow_lane).debounce("queue", 300, "a")
    by_name = Debouncer.create(keep, queue="slow_lane").debounce("queue", 300, "b")
    assert by_name.workflow_id == by_object.workflow_id
    assert stored(database, by_name.workflow_id, "queue_name") == "slow_lane"

    release(database, by_name.workflow_id)

    assert by_object.get_result() == "b"


def test_the_timeout_is_a_bound(dbos: type[DBOS]) -> None:
    impatient = Debouncer.create(keep, debounce_timeout_sec=0.3)
    began = time.monotonic()

    handle = impatient.debounce("timeout", 300, "a")

    assert handle.get_result() == "a"
    assert 0.25 < time.monotonic() - began < 1.5


def test_a_debouncer_of_a_name_and_of_another_application(
    dbos: type[DBOS], database: psycopg.Connection[Any]
) -> None:
    handle = Debouncer("keep").debounce("by-name", 300, "a")
    elsewhere = Debouncer("unknown here", application_name="another").debounce("k", 300, 1)

    release(database, handle.workflow_id)

    assert handle.get_result() == "a"
    assert stored(database, elsewhere.workflow_id, "application_name") == "another"


def test_the_chosen_id_names_a_new_workflow_only(
    dbos: type[DBOS], database: psycopg.Connection[Any]
) -> None:
    with SetWorkflowID("debounced"):
        first = keeper.debounce("chosen", 300, "a")
    with SetWorkflowID("ignored"):
        second = keeper.debounce("chosen", 300, "b")

    assert (first.workflow_id, second.workflow_id) == ("debounced", "debounced")
    release(database, "debounced")
    assert first.get_result() == "b"

    with SetWorkflowID("debounced"):
        assert keeper.debounce("chosen", 300, "c").get_result() == "b"
    with SetWorkflowID("debounced"), pytest.raises(DBOSConflictingWorkflowError):
        Debouncer.create(other).debounce("chosen", 300, "c")


def test_a_key_that_a_plain_enqueue_holds_is_refused(dbos: type[DBOS]) -> None:
    with SetEnqueueOptions(deduplication_id="keep-held", delay_seconds=300):
        slow_lane.enqueue(keep, "plain")

    with pytest.raises(DBOSQueueDeduplicatedError):
        Debouncer.create(keep, queue=slow_lane).debounce("held", 1, "a")


@pytest.mark.parametrize(
    "options",
    [
        {"deduplication_id": "d"},
        {"delay_seconds": 1},
        {"priority": 1},
        {"queue_partition_key": "p"},
        {"deduplication_id": "d", "duplication_policy": "return-existing"},
    ],
)
def test_options_that_contradict_a_debouncer_are_refused(
    dbos: type[DBOS], options: dict[str, Any]
) -> None:
    with SetEnqueueOptions(**options), pytest.raises(DBOSException, match="debouncer"):
        keeper.debounce("options", 1, "a")


def test_arguments_that_make_no_sense_are_refused(dbos: type[DBOS]) -> None:
    with pytest.raises(DBOSException, match="debounce_period_sec"):
        keeper.debounce("k", -1, "a")
    with pytest.raises(DBOSException, match="debounce_timeout_sec"):
        Debouncer.create(keep, debounce_timeout_sec=0)
    with pytest.raises(DBOSException, match="debounce_key"):
        keeper.debounce(7, 1, "a")  # type: ignore[arg-type]
    with pytest.raises(DBOSException, match="not a registered workflow"):
        Debouncer("unknown").debounce("k", 1, "a")
    with pytest.raises(DBOSException, match="no queue unknown"):
        Debouncer.create(keep, queue="unknown").debounce("k", 1, "a")
    with (
        SetWorkflowID("x", workflow_id_reuse_policy="reject"),
        pytest.raises(DBOSException, match="reject"),
    ):
        keeper.debounce("k", 1, "a")
    with pytest.raises(DBOSWorkflowFunctionNotFoundError):
        Debouncer.create(str)


@DBOS.dbos_class()
class Tools:
    @staticmethod
    @DBOS.workflow()
    def fixed(value: str) -> str:
        return "fixed " + value

    @classmethod
    @DBOS.workflow()
    def bound(cls, value: str) -> str:
        return value


def test_static_methods_can_be_debounced_bound_ones_not(
    dbos: type[DBOS], database: psycopg.Connection[Any]
) -> None:
    handle = Debouncer.create(Tools.fixed).debounce("static", 300, "a")
    release(database, handle.workflow_id)

    assert handle.get_result() == "fixed a"
    with pytest.raises(TypeError, match="bound"):
        Debouncer.create(Tools.bound)


@DBOS.workflow()
def calls_twice(key: str) -> tuple[str, str]:
    first = keeper.debounce(key, 300, "a")
    crashes.here()
    second = keeper.debounce(key, 300, "b")
    crashes.here()
    return first.workflow_id, second.workflow_id


def test_a_workflow_records_its_calls_and_a_replay_repeats_none(
    dbos: type[DBOS], database: psycopg.Connection[Any]
) -> None:
    crashes.arm(2)
    with SetWorkflowID("caller"):
        handle = DBOS.start_workflow(calls_twice, "replayed")

    assert handle.get_result() == ("caller-2", "caller-2")

    assert steps_of("caller") == [
        (1, "DBOS.debounce_delayed_workflow"),
        (2, "keep"),
        (3, "DBOS.debounce_delayed_workflow"),
    ]
    release(database, "caller-2")
    assert DBOS.retrieve_workflow("caller-2").get_result() == "b"


@DBOS.workflow()
def is_refused() -> str:
    try:
        Debouncer.create(keep, queue=slow_lane).debounce("refused", 1, "a")
    except DBOSQueueDeduplicatedError:
        crashes.here()
        return "refused"
    return "accepted"


def test_a_refusal_is_recorded(dbos: type[DBOS]) -> None:
    with SetEnqueueOptions(deduplication_id="keep-refused", delay_seconds=300):
        holder = slow_lane.enqueue(keep, "plain")
    crashes.arm()

    with SetWorkflowID("is-refused"):
        handle = DBOS.start_workflow(is_refused)
    wait_for_crash()
    DBOS.cancel_workflow(holder.workflow_id)

    assert handle.get_result() == "refused"


def wait_for_crash() -> None:
    deadline = time.monotonic() + 20
    while crashes.left:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_step_can_not_debounce(dbos: type[DBOS]) -> None:
    @DBOS.step()
    def step() -> None:
        keeper.debounce("step", 1, "a")

    @DBOS.workflow()
    def workflow() -> None:
        step()

    with pytest.raises(AssertionError, match="inside a step"):
        workflow()
