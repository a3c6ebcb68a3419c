"""The part of `DBOS` with which workflows publish: events and streams; sync and async twins."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from pyengine.arguments import check_number, check_text
from pyengine.context import current_run
from pyengine.current import get_runtime, refuse_running_loop
from pyengine.effects import Flow
from pyengine.execution import Runtime
from pyengine.flows import messages as flows
from pyengine.flows.steps import record_operation
from pyengine.senders import DEFAULT_FORMAT, payload_tag, sender_of
from pyengine.serialization import WorkflowSerializationFormat
from pyengine.streams import offset_value, stream_items


class Reading:
    """Reading what workflows publish: events and streams."""

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


class Publishing(Reading):
    """The part of `DBOS` with which workflows publish events and streams."""

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
            flows.append(sender_of("DBOS.close_stream"), key, None, runtime.codec.default_tag)
        )

    @classmethod
    async def close_stream_async(cls, key: str) -> None:
        """As `close_stream`."""
        runtime = get_runtime("DBOS.close_stream_async")
        sender = sender_of("DBOS.close_stream_async")
        await runtime.run_async(flows.append(sender, key, None, runtime.codec.default_tag))


def _set_event(
    runtime: Runtime, key: str, value: Any, serialization_type: WorkflowSerializationFormat
) -> Flow[None]:
    tag = payload_tag(runtime, serialization_type)
    text = runtime.codec.encode(value, tag, what="value")
    return flows.set_event(sender_of("DBOS.set_event"), key, text, tag)


def _get_event(runtime: Runtime, workflow_id: str, key: str, timeout_seconds: float) -> Flow[Any]:
    check_text("workflow_id", workflow_id)
    check_number("timeout_seconds", timeout_seconds)
    run = current_run()
    if run is None:
        return flows.find_event(workflow_id, key, timeout_seconds, runtime.codec)
    return flows.receive_event(run, run.next_step_ids(2), workflow_id, key, timeout_seconds)


def _all_events(runtime: Runtime, workflow_id: str) -> Flow[dict[str, Any]]:
    run, flow = current_run(), flows.list_events(workflow_id, runtime.codec)
    return flow if run is None else record_operation(run, "DBOS.get_events", flow)


def _append(
    runtime: Runtime, key: str, value: Any, serialization_type: WorkflowSerializationFormat
) -> Flow[None]:
    check_text("the key of a stream", key)
    tag = payload_tag(runtime, serialization_type)
    text = runtime.codec.encode(value, tag, what="value")
    return flows.append(sender_of("DBOS.write_stream"), key, text, tag)
