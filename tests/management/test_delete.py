"""Deleting: workflows vanish whole, and a free id runs anew."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.error import DBOSNonExistentWorkflowError
from tests.management.support import counts
from tests.workflows.support import Gate


class _Gates:
    running: Gate


@DBOS.workflow()
def everything() -> str:
    DBOS.set_event("e", 1)
    DBOS.write_stream("s", 1)
    DBOS.run_step({"name": "step"}, lambda: 1)
    return leaf()


@DBOS.workflow()
def leaf() -> str:
    DBOS.set_event("leaf", 1)
    return "done"


@DBOS.workflow()
def passes_a_gate() -> str:
    _Gates.running.pass_through()
    return DBOS.run_step({"name": "after"}, lambda: "done")


def run_everything() -> None:
    with SetWorkflowID("w"):
        everything()
    DBOS.send("w", "unread", idempotency_key="k")


def test_nothing_of_a_workflow_and_its_children_stays(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    run_everything()
    assert 0 not in counts(sql).values()

    DBOS.delete_workflow("w", delete_children=True)

    assert set(counts(sql).values()) == {0}


def test_children_stay_unless_they_are_asked_for(dbos: type[DBOS]) -> None:
    run_everything()

    DBOS.delete_workflows(["w", "nobody"])

    assert [status.workflow_id for status in DBOS.list_workflows()] == ["w-4"]
    assert DBOS.get_all_events("w-4") == {"leaf": 1}


def test_a_free_id_runs_anew(dbos: type[DBOS]) -> None:
    with SetWorkflowID("w"):
        leaf()
    DBOS.delete_workflow("w")

    with SetWorkflowID("w"):
        assert everything() == "done"


def test_a_run_whose_workflow_is_deleted_does_nothing_more(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    _Gates.running = Gate()
    handle = DBOS.start_workflow(passes_a_gate)
    _Gates.running.reached.wait()

    DBOS.delete_workflow(handle.workflow_id)
    _Gates.running.open.set()

    with pytest.raises(DBOSNonExistentWorkflowError):
        handle.get_result()
    assert set(counts(sql).values()) == {0}
