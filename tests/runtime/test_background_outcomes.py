"""The outcome of a background workflow keeps no thread waiting, and is as safe as if it did."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pyengine import DBOS, Queue
from pyengine.current import get_runtime
from pyengine.errors import DBOSPayloadTooLargeError
from tests.queues.arena import Session

short = Queue("short")


class Threads:
    """The greatest number of threads that ran workflows."""

    most = 0

    def note(self) -> None:
        names = [thread.name for thread in threading.enumerate()]
        self.most = max(self.most, names.count("pyengine-workflow"))


threads = Threads()


@DBOS.workflow()
def do_nothing() -> None:
    threads.note()


@DBOS.workflow()
def return_much(size: int) -> str:
    return "x" * size


@pytest.fixture
def small_limit(sql: Session) -> Iterator[int]:
    sql.execute("select pyengine.set_max_payload_bytes(70000)")
    yield 70_000
    sql.execute("select pyengine.set_max_payload_bytes(1048576)")


def enqueue_many(sql: Session, count: int) -> None:
    """Enqueue in one commit, so that claims find many at once."""
    sql.execute(
        """insert into pyengine.workflows
           (workflow_id, status, name, queue_name, created_at, updated_at, serialization, inputs)
           select 'w' || i, 'ENQUEUED', 'do_nothing', 'short', now(), now(), 'json',
                  '{"positionalArgs": [], "namedArgs": {}}'
           from generate_series(1, %s) i""",
        (count,),
    )


def test_many_short_workflows_share_a_few_threads_and_commits(
    dbos: type[DBOS], sql: Session
) -> None:
    gateway = get_runtime("test").engine.gateway
    before = gateway.round_trips_of_writes
    threads.most = 0

    enqueue_many(sql, 1000)
    dbos.register_queue("short")
    for number in range(1, 1001):
        handle: Any = DBOS.retrieve_workflow(f"w{number}")
        assert handle.get_result() is None

    assert threads.most <= 16
    assert gateway.round_trips_of_writes - before <= 250


def test_an_outcome_that_is_refused_becomes_the_workflows_error(
    dbos: type[DBOS], small_limit: int
) -> None:
    handle = short.enqueue(return_much, small_limit + 1)

    with pytest.raises(DBOSPayloadTooLargeError):
        handle.get_result()
    assert handle.get_status().status == "ERROR"
    assert short.enqueue(return_much, 5).get_result() == "xxxxx"


def test_outcomes_of_the_background_do_not_keep_a_users_thread(
    dbos: type[DBOS], sql: Session
) -> None:
    enqueue_many(sql, 500)

    dbos.register_queue("short")
    results = [return_much(number) for number in range(20)]

    assert [len(result) for result in results] == list(range(20))
    for number in range(1, 501):
        handle: Any = DBOS.retrieve_workflow(f"w{number}")
        assert handle.get_result() is None
