"""An enqueue whose reply was lost is sent again: it is the same enqueue."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetWorkflowID
from pyengine.error import DBOSWorkflowIDInUseError

repeated = Queue("repeated")


@DBOS.workflow()
def enqueued_once() -> str:
    return "once"


def enqueue(sql: psycopg.Connection[Any], start_token: str | None, **more: Any) -> list[Any]:
    request = {
        "workflow_id": "the-id",
        "name": "enqueued_once",
        "inputs": {},
        "serialization": "json",
        "queue_name": "nowhere",
        "start_token": start_token,
        **more,
    }
    statement = "select status, refusal from pyengine.start_workflows(%s)"
    return sql.execute(statement, [json.dumps([request])]).fetchall()


def test_a_start_token_tells_a_repeated_enqueue_from_another(
    sql: psycopg.Connection[Any],
) -> None:
    token, another = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"

    assert enqueue(sql, token) == []
    assert enqueue(sql, token) == []
    assert enqueue(sql, another) == [("ENQUEUED", None)]
    assert enqueue(sql, None) == [("ENQUEUED", None)]


def test_a_repeated_enqueue_holds_its_own_deduplication_id(sql: psycopg.Connection[Any]) -> None:
    assert enqueue(sql, None, deduplication_id="key") == []
    assert enqueue(sql, None, deduplication_id="key") == [("ENQUEUED", None)]


def test_the_reuse_policy_reject_lets_only_the_first_enqueue_through(dbos: type[DBOS]) -> None:
    with SetWorkflowID("mine", workflow_id_reuse_policy="reject"):
        assert repeated.enqueue(enqueued_once).get_result() == "once"

    with (
        SetWorkflowID("mine", workflow_id_reuse_policy="reject"),
        pytest.raises(DBOSWorkflowIDInUseError),
    ):
        repeated.enqueue(enqueued_once)
