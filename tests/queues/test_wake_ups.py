"""Enqueued work starts promptly with and without notifications, and idle processes cost next to nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyengine import DBOS, Queue, SetEnqueueOptions
from pyengine.database.session import Session as ServerSession
from tests.queues.arena import Session, enqueue, request

prompt = Queue("prompt")
one_by_one = Queue("one by one", concurrency=1)


@DBOS.workflow()
def started_at() -> float:
    return time.monotonic()


@DBOS.workflow()
def gathered(count: int) -> int:
    handles = [prompt.enqueue(started_at) for _ in range(count)]
    return sum(handle.get_result() > 0 for handle in handles)


def by_another_process(session: Session, queue_name: str, workflow_id: str) -> float:
    """Enqueue past this process's engine; when."""
    began = time.monotonic()
    document = request(queue_name, workflow_id, application_name="test-app")
    document.update(name="started_at", inputs={"positionalArgs": [], "namedArgs": {}})
    assert enqueue(session, document) == []
    return began


def test_without_a_listener_every_item_starts_within_two_seconds(
    launch: Callable[..., None], sql: Session
) -> None:
    launch(use_listen_notify=False)

    for number, queue_name in enumerate(["prompt", "one by one"] * 2):
        began = by_another_process(sql, queue_name, f"w{number}")
        handle: Any = DBOS.retrieve_workflow(f"w{number}")
        assert handle.get_result() - began < 2


def test_what_another_process_enqueues_is_announced(dbos: type[DBOS], sql: Session) -> None:
    waiting = "select count(*) > 0 from pyengine.waiters"
    for number in range(5):
        while sql.execute(waiting).fetchone() != (True,):
            threading.Event().wait(0.01)
        by_another_process(sql, "prompt", f"w{number}")
        handle: Any = DBOS.retrieve_workflow(f"w{number}")
        handle.get_result()

    lateness = sql.execute("select max(started_at - created_at) from pyengine.workflows").fetchone()
    assert lateness is not None
    assert lateness[0].total_seconds() < 0.9  # without the announcement the next tick finds it


def test_a_delayed_workflow_starts_when_its_time_has_come(dbos: type[DBOS], sql: Session) -> None:
    with SetEnqueueOptions(delay_seconds=0.4):
        handle = prompt.enqueue(started_at)

    handle.get_result()

    late = sql.execute("select started_at - delayed_until from pyengine.workflows").fetchone()
    assert late is not None
    assert 0 <= late[0].total_seconds() < 1


@pytest.mark.slow
def test_many_children_need_no_thread_each(dbos: type[DBOS]) -> None:
    most = 0
    stopped = threading.Event()

    def watch() -> None:
        nonlocal most
        while not stopped.wait(0.005):
            most = max(most, threading.active_count())

    threading.Thread(target=watch, daemon=True).start()

    assert gathered(1000) == 1000

    stopped.set()
    print(f"{most} threads at most")
    assert most < 60


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[str]]:
    """The statements that this process sends in so many seconds."""
    execute = ServerSession.execute

    def during(seconds: float) -> list[str]:
        sent: list[str] = []

        def noted(session: ServerSession, text: str, parameters: Any) -> Any:
            sent.append(text)
            return execute(session, text, parameters)

        with monkeypatch.context() as patch:
            patch.setattr(ServerSession, "execute", noted)
            threading.Event().wait(seconds)
        return sent

    return during


def test_an_idle_process_sends_one_statement_a_second_whatever_the_number_of_queues(
    dbos: type[DBOS], statements: Callable[[float], list[str]]
) -> None:
    for number in range(50):
        DBOS.register_queue(f"idle-{number}", concurrency=1)
    statements(1.5)  # what the registrations woke has looked three times

    sent = statements(5.2)

    assert 4 <= len(sent) <= 6, sent


def test_work_that_others_run_wakes_an_idle_process_no_more_often(
    dbos: type[DBOS], sql: Session, statements: Callable[[float], list[str]]
) -> None:
    for number in range(5):
        document = request("prompt", f"elsewhere-{number}", application_name="test-app")
        assert enqueue(sql, {**document, "name": "unknown here"}) == []
    statements(1.5)

    sent = statements(5.2)

    assert 4 <= len(sent) <= 6, sent
    assert prompt.enqueue(started_at).get_result() > 0
