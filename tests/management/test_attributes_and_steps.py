"""Attributes are searched for and changed; steps are listed in parts."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetWorkflowAttributes, SetWorkflowID
from pyengine.error import DBOSException

queue = Queue("attributed")


@DBOS.workflow()
def attributed_child() -> None:
    return None


@DBOS.workflow()
def attributed() -> int:
    attributed_child()
    return DBOS.run_step({"name": "number"}, lambda: 7)


def attributes_of(workflow_id: str) -> Any:
    status = DBOS.get_workflow_status(workflow_id)
    assert status is not None
    return status.attributes


def test_attributes_are_those_of_the_block_and_not_of_the_children(dbos: type[DBOS]) -> None:
    with SetWorkflowAttributes({"tenant": "a", "n": [1]}):
        with SetWorkflowID("w"):
            attributed()
        queued = queue.enqueue(attributed)
    with SetWorkflowAttributes(None), SetWorkflowID("none"):
        attributed()
    queued.get_result()

    assert attributes_of("w") == {"tenant": "a", "n": [1]}
    assert attributes_of("w-1") is None
    assert attributes_of("none") is None
    found = DBOS.list_workflows(attributes={"tenant": "a"})
    assert [status.workflow_id for status in found] == ["w", queued.workflow_id]


def test_an_enqueue_by_name_has_its_own(dbos: type[DBOS]) -> None:
    handle = DBOS.enqueue_workflow_with_options(
        {
            "workflow_name": "attributed",
            "queue_name": "attributed",
            "attributes": {"a": 1},
            "workflow_timeout": 60,
        }
    )

    assert handle.get_status().attributes == {"a": 1}
    assert handle.get_status().workflow_timeout_ms == 60_000


def test_attributes_are_replaced_merged_and_removed(dbos: type[DBOS]) -> None:
    with SetWorkflowAttributes({"a": 1, "b": {"c": 1}}), SetWorkflowID("w"):
        attributed()

    DBOS.update_workflow_attributes("w", {"b": 2, "d": 3}, merge=True)
    assert attributes_of("w") == {"a": 1, "b": 2, "d": 3}
    asyncio.run(DBOS.update_workflow_attributes_async("w", {"e": 1}))
    assert attributes_of("w") == {"e": 1}
    DBOS.update_workflow_attributes("w", None)
    assert attributes_of("w") is None
    DBOS.update_workflow_attributes("w", {"f": 1}, merge=True)
    assert attributes_of("w") == {"f": 1}
    DBOS.update_workflow_attributes("nobody", {"a": 1})


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ([1], "must be a dict"),
        ({"a": object()}, "can't be written as JSON"),
        ({"a": float("nan")}, "can't be written as JSON"),
        ({"a": "\x00"}, "NUL"),
    ],
)
def test_what_can_not_be_stored_is_refused_at_once(
    dbos: type[DBOS], attributes: Any, complaint: str
) -> None:
    with pytest.raises(DBOSException, match=complaint):
        SetWorkflowAttributes(attributes)
    with pytest.raises(DBOSException, match=complaint):
        DBOS.update_workflow_attributes("w", attributes)
    with pytest.raises(DBOSException, match="to merge"):
        DBOS.update_workflow_attributes("w", None, merge=True)


def test_steps_are_listed_with_their_errors_alone(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    with SetWorkflowID("w"):
        attributed()
    sql.execute("update pyengine.steps set error = '{}' where step_id = 1")

    def outcomes(parameters: str) -> list[Any]:
        query = f"select output #>> '{{}}', error #>> '{{}}' from pyengine.list_steps('w', {parameters})"
        return sql.execute(query.encode()).fetchall()

    assert outcomes("with_outcome => false, with_error => true") == [
        (None, "{}"), (None, None), (None, None),
    ]  # fmt: skip
    assert outcomes("with_error => false")[2] == ("7", None)
    assert outcomes("row_limit => 1") == [(None, "{}")]


def test_steps_are_listed_in_parts_and_without_their_outputs(dbos: type[DBOS]) -> None:
    with SetWorkflowID("w"):
        attributed()

    second = DBOS.list_workflow_steps("w", limit=1, offset=1)
    assert [step["function_name"] for step in second] == ["DBOS.getResult"]
    last = DBOS.list_workflow_steps("w", load_output=False, offset=2)
    assert [(step["function_name"], step["output"]) for step in last] == [("number", None)]
    assert [step["output"] for step in DBOS.list_workflow_steps("w", offset=2)] == [7]
    with pytest.raises(ValueError, match="limit is -1"):
        DBOS.list_workflow_steps("w", limit=-1)
