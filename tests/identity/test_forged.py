"""Who may only hand in work can't say on whose behalf it runs: it would give itself any role."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.fix_roles import Login, login

__all__ = ["login"]

Connection = psycopg.Connection[Any]

CLAIMS: list[dict[str, Any]] = [
    {"authenticated_user": "ada"},
    {"authenticated_roles": ["admin"]},
    {"assumed_role": "admin"},
]
START = {"workflow_id": "w", "name": "f", "inputs": {}, "serialization": "json"}


@pytest.fixture
def client(login: Login, engine_url: str) -> Iterator[Connection]:
    with connected(engine_url, login("client")) as connection:
        yield connection


def connected(url: str, name: str) -> Connection:
    return psycopg.connect(make_conninfo(url, user=name, password="secret"), autocommit=True)


def count(sql: Connection) -> int:
    row = sql.execute("select count(*) from pyengine.workflows").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_client_is_refused(sql: Connection, client: Connection, claim: dict[str, Any]) -> None:
    document = {**START, **claim}
    started = client.execute(
        "select refusal, message from pyengine.start_workflows(%s)", [json.dumps([document])]
    ).fetchone()
    with pytest.raises(psycopg.Error) as debounced:
        client.execute("select pyengine.debounce_workflow(%s, 'k', 1)", [json.dumps(document)])

    assert started is not None
    assert started[0] == "PE403"
    assert "role worker" in started[1]
    assert debounced.value.sqlstate == "PE403"
    assert count(sql) == 0


@pytest.mark.parametrize(
    "call",
    [
        "pyengine.enqueue_workflow('f', 'q', authenticated_user => 'ada')",
        "pyengine.enqueue_workflow('f', 'q', authenticated_roles => '[\"admin\"]')",
        "pyengine.start_workflow('f', authenticated_user => 'ada')",
    ],
)
def test_a_client_is_refused_by_the_functions_for_clients(
    sql: Connection, client: Connection, call: str
) -> None:
    with pytest.raises(psycopg.Error) as refused:
        client.execute(f"select {call}".encode())

    assert refused.value.sqlstate == "PE403"
    assert count(sql) == 0


def test_a_client_can_not_put_words_in_the_mouth_of_a_debounced_workflows_user(
    sql: Connection, client: Connection
) -> None:
    mine = json.dumps({**START, "authenticated_user": "ada", "authenticated_roles": ["admin"]})
    sql.execute("select pyengine.debounce_workflow(%s, 'k', 60000)", [mine])

    client.execute("select pyengine.debounce_workflow(%s, 'k', 60000)", [json.dumps(START)])

    row = sql.execute("select authenticated_user, authenticated_roles from pyengine.workflows")
    assert row.fetchone() == (None, None)


def test_the_same_without_a_claim_is_accepted(sql: Connection, client: Connection) -> None:
    client.execute("select pyengine.start_workflows(%s)", [json.dumps([START])])

    assert count(sql) == 1


def test_applications_and_the_owner_say_on_whose_behalf(
    sql: Connection, login: Login, engine_url: str
) -> None:
    document = {**START, "authenticated_user": "ada"}
    with connected(engine_url, login("worker")) as worker:
        for connection, workflow_id in ((sql, "owner"), (worker, "worker")):
            request = json.dumps([{**document, "workflow_id": workflow_id}])
            connection.execute("select pyengine.start_workflows(%s)", [request])

    users = sql.execute("select workflow_id, authenticated_user from pyengine.workflows")
    assert sorted(users.fetchall()) == [("owner", "ada"), ("worker", "ada")]
