"""Listing workflows: filters are combined with "and", of several values any may match."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pyengine import DBOS, Queue, SetEnqueueOptions, SetWorkflowID
from pyengine.error import DBOSException

waiting = Queue("listed")


@DBOS.workflow()
def listed_well(number: int) -> int:
    return number


@DBOS.workflow()
def listed_badly(number: int) -> int:
    raise ValueError(number)


@DBOS.workflow()
def listed_parent() -> int:
    return listed_well(7)


@DBOS.workflow()
def listing_inside() -> list[str]:
    return [status.workflow_id for status in DBOS.list_workflows(name="listed_well")]


def ids(**filters: Any) -> list[str]:
    return [status.workflow_id for status in DBOS.list_workflows(**filters)]


@pytest.fixture
def five(dbos: type[DBOS]) -> None:
    """Three that succeeded, one that failed, one that waits in a paused queue."""
    for name in ("a-1", "a-2", "b-1"):
        with SetWorkflowID(name):
            listed_well(1)
    with SetWorkflowID("b-2"), pytest.raises(ValueError, match="2"):
        listed_badly(2)
    DBOS.pause_queue("listed")
    with SetWorkflowID("c-1"), SetEnqueueOptions(priority=3):
        waiting.enqueue(listed_well, 3)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["a-1", "a-2", "b-1", "b-2", "c-1"]),
        ({"sort_desc": True, "limit": 2}, ["c-1", "b-2"]),
        ({"limit": 2, "offset": 1}, ["a-2", "b-1"]),
        ({"limit": 0}, ["a-1", "a-2", "b-1", "b-2", "c-1"]),
        ({"workflow_id": "b-1"}, ["b-1"]),
        ({"workflow_ids": ["b-1", "a-2", "nobody"]}, ["a-2", "b-1"]),
        ({"workflow_ids": []}, []),
        ({"status": "ERROR"}, ["b-2"]),
        ({"status": ["ERROR", "ENQUEUED"]}, ["b-2", "c-1"]),
        ({"name": "listed_badly"}, ["b-2"]),
        ({"queue_name": "listed"}, ["c-1"]),
        ({"queues_only": True}, ["c-1"]),
        ({"workflow_id_prefix": "a-"}, ["a-1", "a-2"]),
        ({"workflow_id_prefix": ["a-", "c"]}, ["a-1", "a-2", "c-1"]),
        ({"workflow_id_prefix": "%"}, []),
        ({"status": "SUCCESS", "workflow_id_prefix": "b"}, ["b-1"]),
        ({"has_parent": True}, []),
        ({"is_fork": False, "was_forked_from": False, "name": "listed_badly"}, ["b-2"]),
        ({"user": "nobody"}, []),
        ({"attributes": {"customer": 5}}, []),
        ({"application_name": "another"}, []),
        ({"app_version": "none"}, []),
        ({"start_time": "2001-01-01T00:00:00Z", "end_time": "2002-01-01"}, []),
        ({"completed_after": "2001-01-01T00:00:00"}, ["a-1", "a-2", "b-1", "b-2"]),
        ({"dequeued_before": datetime.now(timezone.utc) - timedelta(days=1)}, []),
    ],
)
def test_filters_choose_what_is_listed(
    five: None, filters: dict[str, Any], expected: list[str]
) -> None:
    assert ids(**filters) == expected


def test_executors_are_listed_by_the_name_that_a_restart_keeps(
    five: None, config: dict[str, Any]
) -> None:
    assert ids(executor_id=config["executor_id"]) == ["a-1", "a-2", "b-1", "b-2"]
    assert DBOS.list_workflows(workflow_id="a-1")[0].executor_id == config["executor_id"]


def test_children_are_listed_by_their_parent(dbos: type[DBOS]) -> None:
    with SetWorkflowID("parent"):
        listed_parent()

    assert ids(parent_workflow_id="parent") == ["parent-1"]
    assert ids(has_parent=True) == ["parent-1"]


def test_payloads_can_be_left_out(five: None) -> None:
    (full,) = DBOS.list_workflows(workflow_id="a-1")
    (bare,) = DBOS.list_workflows(workflow_id="a-1", load_input=False, load_output=False)

    assert full.input is not None
    assert full.input["args"] == (1,)
    assert full.output == 1
    assert bare.input is None
    assert bare.output is None


def test_queued_workflows_are_those_of_queues_that_have_not_ended(five: None) -> None:
    (queued,) = DBOS.list_queued_workflows()

    assert (queued.workflow_id, queued.status, queued.priority) == ("c-1", "ENQUEUED", 3)


def test_listing_in_a_workflow_is_a_recorded_step(five: None) -> None:
    with SetWorkflowID("lister"):
        assert listing_inside() == ["a-1", "a-2", "b-1", "c-1"]

    assert [s["function_name"] for s in DBOS.list_workflow_steps("lister")] == [
        "DBOS.listWorkflows"
    ]


def test_the_async_twin_lists_the_same(five: None) -> None:
    statuses = asyncio.run(DBOS.list_workflows_async(status="ERROR"))

    assert [status.workflow_id for status in statuses] == ["b-2"]


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        ({"colour": "red"}, "unknown filter colour"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"limit": -1}, "limit"),
    ],
)
def test_filters_that_can_not_be_read_are_refused(
    dbos: type[DBOS], filters: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DBOSException, match=problem):
        DBOS.list_workflows(**filters)
