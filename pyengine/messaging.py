"""The part of `DBOS` with which workflows send, receive and sleep; sync and async twins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyengine.arguments import check_number, check_text
from pyengine.context import current_run, current_scope
from pyengine.current import get_runtime, refuse_running_loop
from pyengine.database.message_calls import message as message_document
from pyengine.effects import Flow
from pyengine.errors import DBOSException
from pyengine.execution import Runtime
from pyengine.flows import messages as flows
from pyengine.runs import WorkflowRun
from pyengine.senders import DEFAULT_FORMAT, maybe_sender, payload_tag
from pyengine.serialization import WorkflowSerializationFormat


@dataclass(frozen=True, slots=True)
class SendMessage:
    """A message for `DBOS.send_bulk`; the fields are the arguments of `DBOS.send`."""

    destination_id: str
    message: Any
    topic: str | None = None
    idempotency_key: str | None = None
    shard_key: str | None = None


class Sending:
    """Sending messages, from workflows and from outside."""

    @classmethod
    def send(
        cls,
        destination_id: str,
        message: Any,
        topic: str | None = None,
        idempotency_key: str | None = None,
        *,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
        send_to_forks: bool = False,
        shard_key: str | None = None,
    ) -> None:
        """Send a message to a workflow, which receives it once. From a workflow's body exactly once.

        Args:
            destination_id: The receiving workflow.
            message: What to send.
            topic: Messages of one topic are received in order.
            idempotency_key: A second message with this key to the same workflow is dropped.
            serialization_type: The format; by default the sending workflow's.
            send_to_forks: Also to all forks of the receiver.
            shard_key: Accepted for compatibility.

        Raises:
            DBOSNonExistentWorkflowError: The receiver does not exist.
        """
        del shard_key
        refuse_running_loop("send")
        mail = [SendMessage(destination_id, message, topic, idempotency_key)]
        runtime = get_runtime("DBOS.send")
        runtime.run(
            send_flow(runtime, mail, serialization_type, is_bulk=False, to_forks=send_to_forks)
        )

    @classmethod
    async def send_async(
        cls,
        destination_id: str,
        message: Any,
        topic: str | None = None,
        idempotency_key: str | None = None,
        *,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
        send_to_forks: bool = False,
        shard_key: str | None = None,
    ) -> None:
        """As `send`."""
        del shard_key
        mail = [SendMessage(destination_id, message, topic, idempotency_key)]
        runtime = get_runtime("DBOS.send_async")
        flow = send_flow(runtime, mail, serialization_type, is_bulk=False, to_forks=send_to_forks)
        await runtime.run_async(flow)

    @classmethod
    def send_bulk(
        cls,
        messages: Sequence[SendMessage],
        *,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
        send_to_forks: bool = False,
    ) -> None:
        """Send several messages, all or none, as one step."""
        refuse_running_loop("send_bulk")
        runtime = get_runtime("DBOS.send_bulk")
        flow = send_flow(
            runtime, messages, serialization_type, is_bulk=True, to_forks=send_to_forks
        )
        runtime.run(flow)

    @classmethod
    async def send_bulk_async(
        cls,
        messages: Sequence[SendMessage],
        *,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
        send_to_forks: bool = False,
    ) -> None:
        """As `send_bulk`."""
        runtime = get_runtime("DBOS.send_bulk_async")
        flow = send_flow(
            runtime, messages, serialization_type, is_bulk=True, to_forks=send_to_forks
        )
        await runtime.run_async(flow)


class Messaging(Sending):
    """The part of `DBOS` with which workflows send, receive and sleep."""

    @classmethod
    def sleep(cls, seconds: float) -> None:
        """Sleep durably: after a crash only the rest is slept. Only in the body of a workflow.

        Args:
            seconds: How long; 0 or less returns at once.

        Raises:
            DBOSException: Called outside workflows.
            AssertionError: Called inside a step.
        """
        refuse_running_loop("sleep")
        run = _sleeper("DBOS.sleep", seconds)
        if seconds > 0:
            get_runtime("DBOS.sleep").run(flows.sleep(run, run.next_step_id(), seconds))

    @classmethod
    async def sleep_async(cls, seconds: float) -> None:
        """As `sleep`."""
        run = _sleeper("DBOS.sleep_async", seconds)
        if seconds > 0:
            runtime = get_runtime("DBOS.sleep_async")
            await runtime.run_async(flows.sleep(run, run.next_step_id(), seconds))

    @classmethod
    def recv(cls, topic: str | None = None, timeout_seconds: float = 60) -> Any:
        """Receive the next message of a topic; None after the timeout. Only in the body of a workflow.

        Args:
            topic: The topic it was sent with.
            timeout_seconds: How long to wait; a crash does not prolong it.

        Raises:
            DBOSException: Called outside workflows or inside a step.
        """
        refuse_running_loop("recv")
        check_number("timeout_seconds", timeout_seconds)
        run = _body("DBOS.recv")
        first = run.next_step_ids(2)
        return get_runtime("DBOS.recv").run(flows.receive(run, first, topic, timeout_seconds))

    @classmethod
    async def recv_async(cls, topic: str | None = None, timeout_seconds: float = 60) -> Any:
        """As `recv`."""
        check_number("timeout_seconds", timeout_seconds)
        run = _body("DBOS.recv_async")
        first = run.next_step_ids(2)
        runtime = get_runtime("DBOS.recv_async")
        return await runtime.run_async(flows.receive(run, first, topic, timeout_seconds))


def _sleeper(what: str, seconds: float) -> WorkflowRun:
    scope = current_scope()
    if scope is not None and scope.step is not None:
        raise AssertionError(f"{what} was called inside a step: sleep in the workflow's body")
    check_number("seconds", seconds)
    return _body(what)


def _body(what: str) -> WorkflowRun:
    run = current_run()
    if run is None:
        raise DBOSException(f"{what} works only in the body of a workflow")
    return run


def send_flow(
    runtime: Runtime,
    mail: Sequence[SendMessage],
    serialization_type: WorkflowSerializationFormat,
    *,
    is_bulk: bool,
    to_forks: bool,
) -> Flow[None]:
    """Encode messages and send them: as a step of the surrounding workflow, if there is one."""
    tag = payload_tag(runtime, serialization_type)
    for each in mail:
        check_text("destination_id", each.destination_id)
    documents = [
        message_document(
            destination_id=each.destination_id,
            topic=each.topic,
            message=runtime.codec.encode(each.message, tag, what="message"),
            serialization=tag,
            idempotency_key=each.idempotency_key,
        )
        for each in mail
    ]
    return flows.send(documents, maybe_sender(), is_bulk=is_bulk, send_to_forks=to_forks)
