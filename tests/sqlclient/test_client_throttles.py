"""A client in plain SQL throttles what it enqueues, and asks for the workflow that is in the way of another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetEnqueueOptions
from pyengine.error import DBOSQueueDeduplicatedError
from pyengine.schema import sql_root

Connection = psycopg.Connection[Any]

digests = Queue("digests-from-sql")

ENQUEUE = """
    select pyengine.enqueue_workflow('digest', 'digests-from-sql', array['"x"'::json], workflow_id => %s,
        throttle_key => %s, throttle_ms => 60000)
"""
GIVE_BACK = ENQUEUE.replace("60000)", "60000, duplication_policy => 'return-existing')")


@DBOS.workflow(name="digest")
def digest(text: str) -> str:
    return f"digest of {text}"


def scalar(connection: Connection, query: str, *arguments: Any) -> Any:
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def clock(sql: Connection) -> Iterator[Any]:
    """Sets the engine's clock to a time of a day."""

    def stand_at(time: str) -> None:
        sql.execute(
            "create or replace function pyengine.now() returns timestamptz language sql as"
            f" $$ select '2030-01-01 {time}+00'::timestamptz $$".encode()
        )

    yield stand_at
    sql.execute((sql_root() / "functions/base/now.sql").read_bytes())


def test_a_second_start_in_the_period_is_refused_and_names_the_first(sql: Connection) -> None:
    assert scalar(sql, ENQUEUE, "first", "ada") == "first"
    assert scalar(sql, ENQUEUE, "of another key", "bob") == "of another key"

    with pytest.raises(psycopg.Error) as caught:
        scalar(sql, ENQUEUE, "second", "ada")

    assert caught.value.sqlstate == "PE409"
    said = json.loads(caught.value.diag.message_detail or "")
    assert said == {"workflow_id": "second", "holder_id": "first"}


def test_the_next_one_starts_when_the_period_is_over(sql: Connection, clock: Any) -> None:
    clock("10:00:00")
    scalar(sql, ENQUEUE, "first", "ada")
    clock("10:00:59.999")
    assert scalar(sql, GIVE_BACK, "second", "ada") == "first"
    clock("10:01:00")
    assert scalar(sql, GIVE_BACK, "third", "ada") == "third"


def test_the_same_id_in_the_period_is_the_same_workflow(sql: Connection) -> None:
    assert [scalar(sql, ENQUEUE, "first", "ada") for _ in range(2)] == ["first", "first"]


def test_an_enqueue_that_is_rolled_back_begins_no_period(sql: Connection, engine_url: str) -> None:
    with psycopg.connect(engine_url) as connection:
        scalar(connection, ENQUEUE, "lost", "ada")
        connection.rollback()

    assert scalar(sql, ENQUEUE, "kept", "ada") == "kept"


def test_sql_and_python_share_the_keys_of_a_queue(dbos: type[DBOS], sql: Connection) -> None:
    scalar(sql, ENQUEUE, "from-sql", "shared")

    with SetEnqueueOptions(throttle_key="shared", throttle_seconds=60):
        with pytest.raises(DBOSQueueDeduplicatedError, match="shared"):
            digests.enqueue(digest, "y")
        handle = DBOS.retrieve_workflow("from-sql")
    assert handle.get_result() == "digest of x"


def test_a_trigger_asks_for_what_runs_already_and_goes_on(sql: Connection) -> None:
    call = """
        select pyengine.enqueue_workflow('digest', 'q', workflow_id => %s, deduplication_id => 'one',
            duplication_policy => 'return-existing')
    """
    assert [scalar(sql, call, each) for each in ("a", "b")] == ["a", "a"]
    assert scalar(sql, "select count(*) from pyengine.workflows") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "throttle_key => 'a'",
        "throttle_ms => 1000",
        "throttle_key => 'a', throttle_ms => 0",
        "throttle_key => 'a', throttle_ms => -1",
        "throttle_key => 'a', throttle_ms => 9223372036854775807",
        "throttle_key => repeat('a', 513), throttle_ms => 1000",
        "duplication_policy => 'return-existing'",
        "duplication_policy => 'ignore', deduplication_id => 'd'",
        "duplication_policy => null, deduplication_id => 'd'",
    ],
)
def test_a_throttle_that_makes_no_sense_is_refused(sql: Connection, arguments: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        scalar(sql, f"select pyengine.enqueue_workflow('digest', 'q', {arguments})")

    assert caught.value.sqlstate == "PE400"
    assert scalar(sql, "select count(*) from pyengine.workflows") == 0
