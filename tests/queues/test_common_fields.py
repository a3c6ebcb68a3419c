"""What workflows have in common is said once, from SQL."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.queues.arena import Session, enqueue, queue, request

COMMON = request("shared")


def enqueue_many(session: Session, documents: list[dict[str, Any]], common: object) -> list[Any]:
    text = "select item, refusal, message from pyengine.enqueue_workflows(requests => %s, common => %s)"
    values = (json.dumps(documents), json.dumps(common))
    return session.execute(text, values).fetchall()


def stored(session: Session, column: str) -> dict[str, Any]:
    text = f"select workflow_id, {column} from pyengine.workflows"
    return dict(session.execute(text).fetchall())


def test_each_start_has_the_common_fields_and_its_own(sql: Session) -> None:
    documents: list[dict[str, Any]] = [{"workflow_id": "a"}, {"workflow_id": "b", "priority": 3}]

    answers = enqueue_many(sql, documents, {**COMMON, "priority": 1})

    assert answers == []
    assert stored(sql, "priority") == {"a": 1, "b": 3}
    assert set(stored(sql, "queue_name").values()) == {"shared"}


def test_a_document_that_says_nothing_is_the_common_one(sql: Session) -> None:
    assert enqueue_many(sql, [{}], {**COMMON, "workflow_id": "a"}) == []

    assert list(stored(sql, "name")) == ["a"]


def test_a_start_that_is_wrong_refuses_them_all(sql: Session) -> None:
    documents: list[dict[str, Any]] = [{"workflow_id": "a"}, {"workflow_id": "b", "priority": -1}]

    with pytest.raises(psycopg.Error, match="request 2 of 2") as refused:
        enqueue_many(sql, documents, COMMON)

    assert refused.value.sqlstate == "PE400"
    assert stored(sql, "name") == {}


def test_a_common_field_can_be_what_is_wrong(sql: Session) -> None:
    with pytest.raises(psycopg.Error) as refused:
        enqueue_many(sql, [{"workflow_id": "a"}], {**COMMON, "name": ""})

    assert refused.value.sqlstate == "PE400"


def test_a_known_id_is_answered_with_what_it_runs(sql: Session) -> None:
    enqueue(sql, request("shared", "a", name="other"))

    answers = enqueue_many(sql, [{"workflow_id": "a"}, {"workflow_id": "b"}], COMMON)

    assert [(item, refusal) for item, refusal, _ in answers] == [(1, None)]
    assert stored(sql, "name") == {"a": "other", "b": COMMON["name"]}


def test_the_depth_of_a_common_queue_is_kept(sql: Session) -> None:
    queue(sql, "shared", max_depth=2)
    documents = [{"workflow_id": each} for each in "abc"]

    with pytest.raises(psycopg.Error, match="is full"):
        enqueue_many(sql, documents, COMMON)
    enqueue_many(sql, documents[:2], COMMON)

    assert set(stored(sql, "name")) == {"a", "b"}


def test_a_common_throttle_key_lets_one_start(sql: Session) -> None:
    documents = [{"workflow_id": each} for each in "ab"]

    with pytest.raises(psycopg.Error) as refused:
        enqueue_many(sql, documents, {**COMMON, "throttle_key": "k", "throttle_ms": 60_000})

    assert refused.value.sqlstate == "PE409"


def test_a_common_lease_needs_an_executor(sql: Session) -> None:
    common = {**request(None), "lease_token": "00000000-0000-0000-0000-000000000001"}

    with pytest.raises(psycopg.Error, match="executor_id is missing"):
        enqueue_many(sql, [{"workflow_id": "a"}], common)


def test_common_fields_are_one_document(sql: Session) -> None:
    with pytest.raises(psycopg.Error, match="common is a json array: give one document"):
        enqueue_many(sql, [{"workflow_id": "a"}], [COMMON])
