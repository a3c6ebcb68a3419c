"""An outcome and the next claim in one commit."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]


@pytest.fixture
def executor_id(sql: Connection) -> int:
    """An executor with the function f."""
    row = sql.execute(
        """select pyengine.register_executor(name => 'one', application_name => 'app', application_version => '1',
            version_is_pinned => false, functions => '{f}', channel => 'one', lease_seconds => 60)"""
    ).fetchone()
    assert row is not None
    return int(row[0])


def claim(sql: Connection, executor_id: int) -> tuple[str, str]:
    """Claim one: its id and lease token."""
    token = str(uuid.uuid4())
    query = "select workflow_id from pyengine.claim_workflows(%s, %s, 1)"
    ((workflow_id,),) = sql.execute(query, [executor_id, token]).fetchall()
    return workflow_id, token


def outcome(workflow_id: str, token: str) -> dict[str, Any]:
    return {
        "workflow_id": workflow_id,
        "lease_token": token,
        "serialization": "portable_json",
        "output": "done",
    }


def finish_and_claim(
    sql: Connection, executor_id: int, token: str, *outcomes: dict[str, Any]
) -> list[tuple[str, Any]]:
    query = "select kind, answer from pyengine.finish_and_claim(%s, %s, %s, 1)"
    return sql.execute(query, [json.dumps(outcomes), executor_id, token]).fetchall()


def enqueue(sql: Connection, *workflow_ids: str) -> None:
    for workflow_id in workflow_ids:
        sql.execute("select pyengine.enqueue_workflow('f', 'q', workflow_id => %s)", [workflow_id])


def test_the_place_of_a_finished_workflow_is_free_for_the_next(
    sql: Connection, executor_id: int
) -> None:
    sql.execute("select pyengine.register_queue('q', concurrency => 1)")
    enqueue(sql, "first", "second")
    first, token = claim(sql, executor_id)

    answers = finish_and_claim(sql, executor_id, str(uuid.uuid4()), outcome(first, token))

    ((kind, claimed),) = answers
    assert (kind, claimed["workflow_id"], claimed["attempt_count"]) == ("claims", "second", 1)
    assert claimed["inputs"] == {"positionalArgs": [], "namedArgs": {}}
    query = "select workflow_id, status from pyengine.workflows order by 1"
    assert sql.execute(query).fetchall() == [("first", "SUCCESS"), ("second", "PENDING")]


def test_a_refused_outcome_is_answered_and_the_claim_goes_on(
    sql: Connection, executor_id: int
) -> None:
    sql.execute("select pyengine.register_queue('q')")
    enqueue(sql, "first", "second")
    claim(sql, executor_id)

    stale = outcome("first", str(uuid.uuid4()))
    answers = finish_and_claim(sql, executor_id, str(uuid.uuid4()), stale)

    assert [(kind, each.get("refusal"), each.get("workflow_id")) for kind, each in answers] == [
        ("finishes", "PE001", None),
        ("claims", None, "second"),
    ]


def test_a_repeated_call_claims_nothing_more(sql: Connection, executor_id: int) -> None:
    sql.execute("select pyengine.register_queue('q')")
    enqueue(sql, "first", "second", "third")
    done = outcome(*claim(sql, executor_id))
    token = str(uuid.uuid4())

    finish_and_claim(sql, executor_id, token, done)
    answers = finish_and_claim(sql, executor_id, token, done)

    assert [(kind, each.get("refusal"), each.get("workflow_id")) for kind, each in answers] == [
        ("finishes", "PE001", None),
        ("claims", None, "second"),
    ]


def test_the_commit_of_an_outcome_is_waited_for(sql: Connection, executor_id: int) -> None:
    sql.execute("select pyengine.register_queue('q')")
    enqueue(sql, "first")
    done = outcome(*claim(sql, executor_id))

    with sql.transaction():
        finish_and_claim(sql, executor_id, str(uuid.uuid4()), done)
        assert sql.execute("show synchronous_commit").fetchone() == ("on",)


def test_an_executor_that_is_gone_stores_no_outcome_with_its_claim(
    sql: Connection, executor_id: int
) -> None:
    sql.execute("select pyengine.register_queue('q')")
    enqueue(sql, "first")
    done = outcome(*claim(sql, executor_id))
    sql.execute(
        "update pyengine.executors set finished_at = now(), finish_reason = 'lease expired'"
    )

    with pytest.raises(psycopg.Error) as caught:
        finish_and_claim(sql, executor_id, str(uuid.uuid4()), done)

    assert caught.value.sqlstate == "PE003"
    assert sql.execute("select status from pyengine.workflows").fetchall() == [("PENDING",)]
