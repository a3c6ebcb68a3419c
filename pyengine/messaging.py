"""The part of `DBOS` with which workflows talk and wait: messages, events, streams, sleep; sync and async twins."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from pyengine.context import current_run, current_scope
from pyengine.current import get_runtime, refuse_running_loop
from pyengine.database.message_calls import message as message_document
from pyengine.effects import Flow
from pyengine.errors import DBOSException
from pyengine.execution import Runtime
from pyengine.flows import messages as flows
from pyengine.flows.messages import Sender
from pyengine.flows.steps import record_operation
from pyengine.runs import WorkflowRun
from pyengine.serialization import WorkflowSerializationFormat
from pyengine.streams import offset_value, stream_items

DEFAULT_FORMAT = WorkflowSerializationFormat.DEFAULT


@dataclass(frozen=True, slots=True)
class SendMessage:
    """A message for `DBOS.send_bulk`; the fields are the arguments of `DBOS.send`."""

    destination_id: str
    message: Any
    topic: str | None = None
    idempotency_key: str | None = None
    shard_key: str | None = None


class Messaging:
    """The part of `DBOS` with which workflows talk and wait."""

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
        run = _sleeper("DBOS.sleep")
        if seconds > 0:
            get_runtime("DBOS.sleep").run(flows.sleep(run, run.next_step_id(), seconds))

    @classmethod
    async def sleep_async(cls, seconds: float) -> None:
        """As `sleep`."""
        run = _sleeper("DBOS.sleep_async")
        if seconds > 0:
            runtime = get_runtime("DBOS.sleep_async")
            await runtime.run_async(flows.sleep(run, run.next_step_id(), seconds))

    @classmethod
    def send(
        cls,
        destination_id: str,
        message: Any,
        topic: str | None = None,
        *,
        idempotency_key: str | None = None,
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
        runtime.run(_send(runtime, mail, serialization_type, is_bulk=False, to_forks=send_to_forks))

    @classmethod
    async def send_async(
        cls,
        destination_id: str,
        message: Any,
        topic: str | None = None,
        *,
        idempotency_key: str | None = None,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
        send_to_forks: bool = False,
        shard_key: str | None = None,
    ) -> None:
        """As `send`."""
        del shard_key
        mail = [SendMessage(destination_id, message, topic, idempotency_key)]
        runtime = get_runtime("DBOS.send_async")
        flow = _send(runtime, mail, serialization_type, is_bulk=False, to_forks=send_to_forks)
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
        flow = _send(runtime, messages, serialization_type, is_bulk=True, to_forks=send_to_forks)
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
        flow = _send(runtime, messages, serialization_type, is_bulk=True, to_forks=send_to_forks)
        await runtime.run_async(flow)

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
        run = _body("DBOS.recv")
        first = _two_step_ids(run)
        return get_runtime("DBOS.recv").run(flows.receive(run, first, topic, timeout_seconds))

    @classmethod
    async def recv_async(cls, topic: str | None = None, timeout_seconds: float = 60) -> Any:
        """As `recv`."""
        run = _body("DBOS.recv_async")
        first = _two_step_ids(run)
        runtime = get_runtime("DBOS.recv_async")
        return await runtime.run_async(flows.receive(run, first, topic, timeout_seconds))

    @classmethod
    def set_event(
        cls,
        key: str,
        value: Any,
        *,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
    ) -> None:
        """Publish a value of this workflow under a key; the last one counts. In a workflow or step.

        Raises:
            DBOSException: Called outside workflows.
        """
        refuse_running_loop("set_event")
        runtime = get_runtime("DBOS.set_event")
        runtime.run(_set_event(runtime, key, value, serialization_type))

    @classmethod
    async def set_event_async(
        cls,
        key: str,
        value: Any,
        *,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
    ) -> None:
        """As `set_event`."""
        runtime = get_runtime("DBOS.set_event_async")
        await runtime.run_async(_set_event(runtime, key, value, serialization_type))

    @classmethod
    def get_event(
        cls,
        workflow_id: str,
        key: str,
        timeout_seconds: float = 60,
        *,
        shard_key: str | None = None,
    ) -> Any:
        """The value that a workflow published, waited for; None after the timeout. The workflow need not exist yet."""
        del shard_key
        refuse_running_loop("get_event")
        runtime = get_runtime("DBOS.get_event")
        return runtime.run(_get_event(runtime, workflow_id, key, timeout_seconds))

    @classmethod
    async def get_event_async(
        cls,
        workflow_id: str,
        key: str,
        timeout_seconds: float = 60,
        *,
        shard_key: str | None = None,
    ) -> Any:
        """As `get_event`."""
        del shard_key
        runtime = get_runtime("DBOS.get_event_async")
        return await runtime.run_async(_get_event(runtime, workflow_id, key, timeout_seconds))

    @classmethod
    def get_all_events(cls, workflow_id: str, *, shard_key: str | None = None) -> dict[str, Any]:
        """The last values of all events of a workflow."""
        del shard_key
        refuse_running_loop("get_all_events")
        runtime = get_runtime("DBOS.get_all_events")
        return runtime.run(_all_events(runtime, workflow_id))

    @classmethod
    async def get_all_events_async(
        cls, workflow_id: str, *, shard_key: str | None = None
    ) -> dict[str, Any]:
        """As `get_all_events`."""
        del shard_key
        runtime = get_runtime("DBOS.get_all_events_async")
        return await runtime.run_async(_all_events(runtime, workflow_id))

    @classmethod
    def write_stream(
        cls,
        key: str,
        value: Any,
        *,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
    ) -> None:
        """Append a value to a stream of this workflow; it can be read at once. In a workflow or step."""
        refuse_running_loop("write_stream")
        runtime = get_runtime("DBOS.write_stream")
        runtime.run(_append(runtime, key, value, serialization_type))

    @classmethod
    async def write_stream_async(
        cls,
        key: str,
        value: Any,
        *,
        serialization_type: WorkflowSerializationFormat = DEFAULT_FORMAT,
    ) -> None:
        """As `write_stream`."""
        runtime = get_runtime("DBOS.write_stream_async")
        await runtime.run_async(_append(runtime, key, value, serialization_type))

    @classmethod
    def close_stream(cls, key: str) -> None:
        """End a stream of this workflow: readers stop here."""
        refuse_running_loop("close_stream")
        runtime = get_runtime("DBOS.close_stream")
        runtime.run(
            flows.append(_sender("DBOS.close_stream"), key, None, runtime.codec.default_tag)
        )

    @classmethod
    async def close_stream_async(cls, key: str) -> None:
        """As `close_stream`."""
        runtime = get_runtime("DBOS.close_stream_async")
        sender = _sender("DBOS.close_stream_async")
        await runtime.run_async(flows.append(sender, key, None, runtime.codec.default_tag))

    @classmethod
    def read_stream(
        cls,
        workflow_id: str,
        key: str,
        *,
        offset: int = 0,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
        shard_key: str | None = None,
    ) -> Generator[Any, None, None]:
        """The values of a stream as they come, until it is closed or its workflow has ended.

        Args:
            workflow_id: The writing workflow.
            key: The stream.
            offset: The first value's position.
            polling_interval_sec: Accepted for compatibility; readers are woken.
            timeout_seconds: The longest wait for one value.
            shard_key: Accepted for compatibility.

        Raises:
            DBOSNonExistentWorkflowError: The workflow does not exist.
            DBOSStreamTimeoutError: A value took too long.
            ValueError: An argument is out of range.
        """
        del shard_key
        refuse_running_loop("read_stream")
        runtime = get_runtime("DBOS.read_stream")
        items = stream_items(
            runtime, workflow_id, key, offset, timeout_seconds, polling_interval_sec
        )
        while True:
            item = runtime.run(items.next())
            if item is None:
                return
            yield item[0]

    @classmethod
    async def read_stream_async(
        cls,
        workflow_id: str,
        key: str,
        *,
        offset: int = 0,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
        shard_key: str | None = None,
    ) -> AsyncGenerator[Any, None]:
        """As `read_stream`."""
        del shard_key
        runtime = get_runtime("DBOS.read_stream_async")
        items = stream_items(
            runtime, workflow_id, key, offset, timeout_seconds, polling_interval_sec
        )
        while True:
            item = await runtime.run_async(items.next())
            if item is None:
                return
            yield item[0]

    @classmethod
    def read_stream_offset(
        cls,
        workflow_id: str,
        key: str,
        offset: int,
        *,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
        shard_key: str | None = None,
    ) -> Any:
        """The value of a stream at a position, waited for. See `read_stream`."""
        del shard_key
        refuse_running_loop("read_stream_offset")
        runtime = get_runtime("DBOS.read_stream_offset")
        return runtime.run(
            offset_value(runtime, workflow_id, key, offset, timeout_seconds, polling_interval_sec)
        )

    @classmethod
    async def read_stream_offset_async(
        cls,
        workflow_id: str,
        key: str,
        offset: int,
        *,
        polling_interval_sec: float | None = None,
        timeout_seconds: float | None = None,
        shard_key: str | None = None,
    ) -> Any:
        """As `read_stream_offset`."""
        del shard_key
        runtime = get_runtime("DBOS.read_stream_offset_async")
        return await runtime.run_async(
            offset_value(runtime, workflow_id, key, offset, timeout_seconds, polling_interval_sec)
        )


def _sleeper(what: str) -> WorkflowRun:
    scope = current_scope()
    if scope is not None and scope.step is not None:
        raise AssertionError(f"{what} was called inside a step: sleep in the workflow's body")
    return _body(what)


def _body(what: str) -> WorkflowRun:
    run = current_run()
    if run is None:
        raise DBOSException(f"{what} works only in the body of a workflow")
    return run


def _two_step_ids(run: WorkflowRun) -> int:
    """Draw two numbers in a row: of the outcome, and of the wait's end."""
    return run.next_step_ids(2)


def _sender(what: str) -> Sender:
    sender = _maybe_sender()
    if sender is None:
        raise DBOSException(f"{what} works only in a workflow or step")
    return sender


def _maybe_sender() -> Sender | None:
    scope = current_scope()
    if scope is None:
        return None
    if scope.step is not None:
        return Sender(scope.run, scope.step.step_id, is_step=True)
    return Sender(scope.run, scope.run.next_step_id(), is_step=False)


def _tag(runtime: Runtime, given: WorkflowSerializationFormat) -> str:
    scope = current_scope()
    if given is not DEFAULT_FORMAT or scope is None:
        return runtime.codec.tag_for(given)
    return scope.run.serialization


def _send(
    runtime: Runtime,
    mail: Sequence[SendMessage],
    serialization_type: WorkflowSerializationFormat,
    *,
    is_bulk: bool,
    to_forks: bool,
) -> Flow[None]:
    tag = _tag(runtime, serialization_type)
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
    return flows.send(documents, _maybe_sender(), is_bulk=is_bulk, send_to_forks=to_forks)


def _set_event(
    runtime: Runtime, key: str, value: Any, serialization_type: WorkflowSerializationFormat
) -> Flow[None]:
    tag = _tag(runtime, serialization_type)
    text = runtime.codec.encode(value, tag, what="value")
    return flows.set_event(_sender("DBOS.set_event"), key, text, tag)


def _get_event(runtime: Runtime, workflow_id: str, key: str, timeout_seconds: float) -> Flow[Any]:
    run = current_run()
    if run is None:
        return flows.find_event(workflow_id, key, timeout_seconds, runtime.codec)
    return flows.receive_event(run, _two_step_ids(run), workflow_id, key, timeout_seconds)


def _all_events(runtime: Runtime, workflow_id: str) -> Flow[dict[str, Any]]:
    run, flow = current_run(), flows.list_events(workflow_id, runtime.codec)
    return flow if run is None else record_operation(run, "DBOS.get_events", flow)


def _append(
    runtime: Runtime, key: str, value: Any, serialization_type: WorkflowSerializationFormat
) -> Flow[None]:
    tag = _tag(runtime, serialization_type)
    text = runtime.codec.encode(value, tag, what="value")
    return flows.append(_sender("DBOS.write_stream"), key, text, tag)
