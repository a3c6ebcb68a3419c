"""Messages: sent once, received once, in order, with a timeout that a crash does not prolong."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SendMessage, SetWorkflowID
from pyengine.error import (
    DBOSAwaitedWorkflowCancelledError,
    DBOSException,
    DBOSNonExistentWorkflowError,
)

received: list[Any] = []


@DBOS.workflow()
def checkout(order_id: str) -> str:
    payment = DBOS.recv(topic="payment", timeout_seconds=300)
    if payment is None:
        return "payment_timeout"
    return f"{order_id} {payment['status']}"


@DBOS.workflow()
def collect(count: int, topic: str | None = None) -> list[Any]:
    return [DBOS.recv(topic, timeout_seconds=30) for _ in range(count)]


@DBOS.workflow()
async def collect_async(count: int) -> list[Any]:
    return [await DBOS.recv_async(timeout_seconds=30) for _ in range(count)]


@DBOS.workflow()
def receive_briefly(timeout: float) -> Any:
    return DBOS.recv("never", timeout_seconds=timeout)


@DBOS.step()
def send_in_step(destination_id: str, message: Any) -> None:
    DBOS.send(destination_id, message)


@DBOS.step()
def receive_in_step() -> Any:
    return DBOS.recv()


@DBOS.workflow()
def send_from_workflow(destination_id: str) -> None:
    DBOS.send(destination_id, "from the body")
    send_in_step(destination_id, "from a step")
    DBOS.send_bulk([SendMessage(destination_id, "bulk 1"), SendMessage(destination_id, "bulk 2")])


@DBOS.workflow()
def send_to_nobody() -> str:
    try:
        DBOS.send("nobody", 1)
    except DBOSNonExistentWorkflowError:
        return "refused"
    return "sent"


@DBOS.workflow()
def receive_in_a_step() -> Any:
    return receive_in_step()


@DBOS.workflow()
def ping(other: str, count: int) -> list[int]:
    seen = []
    for number in range(count):
        DBOS.send(other, number, topic="ball")
        seen.append(DBOS.recv("ball", timeout_seconds=30))
    return seen


@DBOS.workflow()
def pong(other: str, count: int) -> list[int]:
    seen = []
    for _ in range(count):
        ball = DBOS.recv("ball", timeout_seconds=30)
        seen.append(ball)
        DBOS.send(other, ball, topic="ball")
    return seen


def step_names(workflow_id: str) -> list[tuple[int, str]]:
    return [(s["function_id"], s["function_name"]) for s in DBOS.list_workflow_steps(workflow_id)]


def test_a_message_ends_the_wait_for_it(dbos: type[DBOS]) -> None:
    handle = DBOS.start_workflow(checkout, "order-1")

    DBOS.send(handle.workflow_id, {"status": "completed"}, topic="payment")

    assert handle.get_result() == "order-1 completed"
    assert step_names(handle.workflow_id)[0] == (1, "DBOS.recv")


def test_messages_of_one_sender_are_received_in_order(dbos: type[DBOS]) -> None:
    handle = DBOS.start_workflow(collect, 50)

    for number in range(50):
        DBOS.send(handle.workflow_id, number)

    assert handle.get_result() == list(range(50))


def test_topics_are_separate_mailboxes(dbos: type[DBOS]) -> None:
    handle = DBOS.start_workflow(collect, 2, "wanted")

    DBOS.send(handle.workflow_id, "no topic")
    DBOS.send(handle.workflow_id, 1, topic="wanted")
    DBOS.send(handle.workflow_id, "other", topic="other")
    DBOS.send(handle.workflow_id, 2, topic="wanted")

    assert handle.get_result() == [1, 2]


def test_async_workflows_receive_too(dbos: type[DBOS]) -> None:
    async def run() -> list[Any]:
        handle = await DBOS.start_workflow_async(collect_async, 2)
        await DBOS.send_async(handle.workflow_id, "a")
        await DBOS.send_async(handle.workflow_id, None)
        return await handle.get_result()

    assert asyncio.run(run()) == ["a", None]


def test_a_timeout_is_none_and_its_end_is_recorded_as_a_second_step(dbos: type[DBOS]) -> None:
    with SetWorkflowID("brief"):
        assert receive_briefly(0.05) is None

    assert step_names("brief") == [(1, "DBOS.recv"), (2, "DBOS.sleep")]


def test_a_timeout_of_zero_looks_once(dbos: type[DBOS]) -> None:
    assert receive_briefly(0) is None


def test_bodies_and_steps_send_and_only_bodies_record_it(dbos: type[DBOS]) -> None:
    receiver = DBOS.start_workflow(collect, 4)

    with SetWorkflowID("sender"):
        send_from_workflow(receiver.workflow_id)

    assert receiver.get_result() == ["from the body", "from a step", "bulk 1", "bulk 2"]
    assert [name for _, name in step_names("sender")] == [
        "DBOS.send",
        "send_in_step",
        "DBOS.send_bulk",
    ]


def test_an_idempotency_key_is_used_once_for_each_receiver(dbos: type[DBOS]) -> None:
    one, two = DBOS.start_workflow(collect, 2), DBOS.start_workflow(collect, 1)

    DBOS.send(one.workflow_id, "first", idempotency_key="key")
    DBOS.send(one.workflow_id, "again", idempotency_key="key")
    DBOS.send(two.workflow_id, "first", idempotency_key="key")
    DBOS.send(one.workflow_id, "second")

    assert one.get_result() == ["first", "second"]
    assert two.get_result() == ["first"]


def test_a_receiver_that_does_not_exist_is_an_error_and_recorded_in_workflows(
    dbos: type[DBOS],
) -> None:
    with pytest.raises(DBOSNonExistentWorkflowError):
        DBOS.send("nobody", 1)
    with SetWorkflowID("fails"):
        assert send_to_nobody() == "refused"

    assert step_names("fails") == [(1, "DBOS.send")]


def test_messages_can_be_sent_before_a_queued_workflow_runs(dbos: type[DBOS]) -> None:
    handle = DBOS.enqueue_workflow("later-messages", collect, 1)
    DBOS.send(handle.workflow_id, "early")

    DBOS.register_queue("later-messages")

    assert handle.get_result() == ["early"]


def test_receiving_in_a_step_or_outside_is_refused(dbos: type[DBOS]) -> None:
    with pytest.raises(DBOSException, match="body of a workflow"):
        DBOS.recv()
    with pytest.raises(DBOSException, match="body of a workflow"):
        receive_in_a_step()


def test_a_cancelled_wait_ends_at_once_and_consumes_nothing(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    handle = DBOS.start_workflow(checkout, "order-2")
    ended = threading.Event()

    def follow() -> None:
        with pytest.raises(DBOSAwaitedWorkflowCancelledError):
            handle.get_result()
        ended.set()

    follower = threading.Thread(target=follow)
    follower.start()
    DBOS.cancel_workflow(handle.workflow_id)

    assert ended.wait(5)
    follower.join()
    DBOS.send(handle.workflow_id, {"status": "late"}, topic="payment")
    assert sql.execute("select count(*) from pyengine.messages").fetchone() == (1,)


def test_two_workflows_play_ping_pong(dbos: type[DBOS]) -> None:
    with SetWorkflowID("pong"):
        second = DBOS.start_workflow(pong, "ping", 100)
    with SetWorkflowID("ping"):
        first = DBOS.start_workflow(ping, "pong", 100)

    assert first.get_result() == list(range(100))
    assert second.get_result() == list(range(100))
