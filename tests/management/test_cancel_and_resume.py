"""Cancelling and resuming: decisive, with children, and told."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetWorkflowID
from pyengine.current import get_runtime
from pyengine.database import steering_calls
from pyengine.error import DBOSAwaitedWorkflowCancelledError, DBOSNonExistentWorkflowError
from tests.workflows.support import Gate, count_workflows, eventually

narrow = Queue("narrow", concurrency=1)
TOKEN = str(uuid.uuid4())


class _Gates:
    running: Gate


@DBOS.workflow()
def waits_for_mail() -> Any:
    return DBOS.recv("mail", timeout_seconds=600)


@DBOS.workflow()
def sleeps() -> None:
    DBOS.sleep(600)


@DBOS.workflow()
def grandparent() -> None:
    with SetWorkflowID("a-parent"):
        DBOS.start_workflow(parent)
    DBOS.recv("mail", timeout_seconds=600)


@DBOS.workflow()
def parent() -> None:
    DBOS.start_workflow(waits_for_mail)
    narrow.enqueue(waits_for_mail)
    DBOS.recv("mail", timeout_seconds=600)


@DBOS.workflow()
def passes_a_gate() -> str:
    _Gates.running.pass_through()
    return DBOS.run_step({"name": "after"}, lambda: "done")


@DBOS.workflow()
def cancels(workflow_id: str) -> Any:
    return DBOS.cancel_workflow(workflow_id)


@pytest.mark.parametrize("workflow", [waits_for_mail, sleeps])
def test_a_workflow_that_waits_ends_at_once(dbos: type[DBOS], workflow: Callable[[], Any]) -> None:
    handle = DBOS.start_workflow(workflow)
    runs = get_runtime("test").engine.runs

    assert DBOS.cancel_workflow(handle.workflow_id) is True

    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    eventually(lambda: len(runs) == 0)


def test_its_place_in_the_queue_is_free_with_the_commit(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    _Gates.running = Gate()
    first = narrow.enqueue(passes_a_gate)
    _Gates.running.reached.wait()
    second = narrow.enqueue(waits_for_mail)

    DBOS.cancel_workflow(first.workflow_id)

    eventually(lambda: second.get_status().status == "PENDING")
    _Gates.running.open.set()


def test_who_cancels_too_late_is_told(dbos: type[DBOS]) -> None:
    with SetWorkflowID("ended"):
        cancels("nobody")

    assert DBOS.cancel_workflow("ended") is False
    assert DBOS.cancel_workflows(["ended", "nobody"]) == []
    assert cancels("ended") is False
    assert DBOS.get_workflow_status("ended").status == "SUCCESS"  # type: ignore[union-attr]


def test_who_cancels_twice_is_told_that_it_is_cancelled(dbos: type[DBOS]) -> None:
    workflow_id = DBOS.start_workflow(sleeps).workflow_id

    assert DBOS.cancel_workflow(workflow_id) is True
    assert DBOS.cancel_workflow(workflow_id) is True


def test_children_are_cancelled_down_to_the_last(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    with SetWorkflowID("z"):
        DBOS.start_workflow(grandparent)
    eventually(lambda: count_workflows(sql) == 4)

    cancelled = DBOS.cancel_workflows(["z"], cancel_children=True)

    assert sorted(cancelled) == ["a-parent", "a-parent-1", "a-parent-2", "z"]
    assert {status.status for status in DBOS.list_workflows()} == {"CANCELLED"}


def test_without_cancel_children_they_go_on(dbos: type[DBOS], sql: psycopg.Connection[Any]) -> None:
    with SetWorkflowID("z"):
        DBOS.start_workflow(grandparent)
    eventually(lambda: count_workflows(sql) == 4)

    DBOS.cancel_workflow("z")

    assert [s.workflow_id for s in DBOS.list_workflows(status="CANCELLED")] == ["z"]


def test_only_what_runs_has_an_owner_to_be_warned(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    with SetWorkflowID("once-ran"):
        DBOS.start_workflow(sleeps)
    DBOS.cancel_workflow("once-ran")
    executor = sql.execute("select channel from pyengine.executors").fetchall()[0][0]
    sql.execute(f'listen "{executor}"'.encode())

    sql.execute("select pyengine.resume_workflows('{once-ran}', 'nobody-serves-this')")
    sql.execute("select pyengine.cancel_workflows('{once-ran}')")

    heard = [n.payload for n in sql.notifies(timeout=0.2) if n.payload.startswith("lease")]
    assert heard == []


def test_a_running_workflow_is_taken_from_its_run_and_begins_again(dbos: type[DBOS]) -> None:
    _Gates.running = Gate()
    first = _Gates.running
    handle = DBOS.start_workflow(passes_a_gate)
    first.reached.wait()
    _Gates.running = Gate()
    _Gates.running.open.set()

    assert DBOS.resume_workflow(handle.workflow_id).get_result() == "done"

    first.open.set()
    assert handle.get_result() == "done"


def test_a_repeated_resume_leaves_the_run_that_began_meanwhile_alone(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    handle = DBOS.start_workflow(waits_for_mail)
    DBOS.cancel_workflow(handle.workflow_id)
    resume = steering_calls.resume_workflows(
        workflow_ids=[handle.workflow_id], queue_name=None, request_token=TOKEN
    )
    gateway = get_runtime("test").engine.gateway
    query = "select lease_token from pyengine.workflows"

    first = gateway.run(resume)
    eventually(lambda: handle.get_status().status == "PENDING")
    lease = sql.execute(query).fetchall()

    assert gateway.run(resume) == first == [handle.workflow_id]
    assert sql.execute(query).fetchall() == lease


def test_several_are_resumed_or_none(dbos: type[DBOS]) -> None:
    workflow_id = DBOS.start_workflow(sleeps).workflow_id
    DBOS.cancel_workflow(workflow_id)

    with pytest.raises(DBOSNonExistentWorkflowError):
        DBOS.resume_workflows([workflow_id, "nobody"])
    assert DBOS.get_workflow_status(workflow_id).status == "CANCELLED"  # type: ignore[union-attr]

    handles = DBOS.resume_workflows([workflow_id], queue_name="nobody-serves-this")
    assert handles[0].get_status().status == "ENQUEUED"
    assert handles[0].get_status().queue_name == "nobody-serves-this"


@pytest.mark.parametrize("end", ["cancel_workflows", "resume_workflows", "delete_workflows"])
def test_a_deduplication_id_is_free_after(sql: psycopg.Connection[Any], end: str) -> None:
    enqueue = (
        "select pyengine.enqueue_workflow('f', 'q', workflow_id => %s, deduplication_id => 'held')"
    )
    sql.execute(enqueue, ["first"])

    sql.execute(f"select pyengine.{end}(array['first'])")

    assert sql.execute(enqueue, ["second"]).fetchall() == [("second",)]
    assert sql.execute("select * from pyengine.verify(deep => true)").fetchall() == []
