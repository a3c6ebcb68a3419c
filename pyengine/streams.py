"""Reading streams: value by value, outside workflows and as recorded steps inside them."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from pyengine.arguments import check_text
from pyengine.context import current_run
from pyengine.database.rows import StreamValue
from pyengine.effects import Flow
from pyengine.errors import DBOSStreamNondeterminismError, DBOSStreamTimeoutError
from pyengine.execution import Runtime
from pyengine.flows.messages import read_batch
from pyengine.flows.steps import record_operation
from pyengine.runs import WorkflowRun

READ_STREAM = "DBOS.readStream"
READ_STREAM_OFFSET = "DBOS.readStreamOffset"


class StreamItems:
    """The values of a stream one after another; reads ahead in batches.

    Each is a recorded step of `run`, if there is one; `waiter` is the run that waits for them.
    """

    def __init__(
        self,
        runtime: Runtime,
        run: WorkflowRun | None,
        workflow_id: str,
        key: str,
        offset: int,
        timeout_seconds: float | None,
        waiter: WorkflowRun | None,
    ) -> None:
        self._runtime = runtime
        self._run = run
        self._waiter = waiter
        self._workflow_id = workflow_id
        self._key = key
        self._position = offset
        self._timeout = timeout_seconds
        self._ahead: deque[StreamValue] = deque()

    def next(self) -> Flow[tuple[Any] | None]:
        """The next value as a tuple of one, or None at the end; in a workflow a recorded step.

        Raises:
            DBOSStreamTimeoutError: It did not come in time.
        """
        run = self._run
        if run is None:
            return (yield from self._read())
        if run.is_reading_stream:
            raise DBOSStreamNondeterminismError(self._workflow_id, self._key)
        run.is_reading_stream = True
        try:
            item = yield from record_operation(run, READ_STREAM, self._read_as_list())
        finally:
            run.is_reading_stream = False
        if item is None:
            return None
        self._position, value = item
        return (value,)

    def _read_as_list(self) -> Flow[list[Any] | None]:
        """What is recorded: the position behind the value, and the value."""
        item = yield from self._read()
        return None if item is None else [self._position, item[0]]

    def _read(self) -> Flow[tuple[Any] | None]:
        if not self._ahead:
            batch = yield from read_batch(
                self._workflow_id, self._key, self._position, self._timeout, self._waiter
            )
            if not batch:
                raise DBOSStreamTimeoutError(self._workflow_id, self._key, self._timeout)
            self._ahead.extend(batch)
        found = self._ahead.popleft()
        if found.is_end or found.position is None:
            self._ahead.appendleft(found)
            return None
        self._position = found.position + 1
        tag = found.serialization or self._runtime.codec.default_tag
        return (self._runtime.codec.decode(found.value, tag),)


def stream_items(
    runtime: Runtime,
    workflow_id: str,
    key: str,
    offset: int,
    timeout_seconds: float | None,
    polling_interval_sec: float | None,
) -> StreamItems:
    """Begin to read a stream.

    Raises:
        ValueError: An argument is out of range.
    """
    check_text("workflow_id", workflow_id)
    _check(offset, timeout_seconds, polling_interval_sec)
    run = current_run()
    return StreamItems(runtime, run, workflow_id, key, offset, timeout_seconds, run)


def offset_value(
    runtime: Runtime,
    workflow_id: str,
    key: str,
    offset: int,
    timeout_seconds: float | None,
    polling_interval_sec: float | None,
) -> Flow[Any]:
    """The value at one position, waited for; in a workflow a recorded step.

    Raises:
        DBOSStreamTimeoutError: It did not come in time, or the stream ended before.
        ValueError: An argument is out of range.
    """
    _check(offset, timeout_seconds, polling_interval_sec)

    run = current_run()

    def read() -> Flow[Any]:
        items = StreamItems(runtime, None, workflow_id, key, offset, timeout_seconds, run)
        item = yield from items.next()
        if item is None:
            raise DBOSStreamTimeoutError(workflow_id, key)
        return item[0]

    return read() if run is None else record_operation(run, READ_STREAM_OFFSET, read())


def _check(offset: int, timeout_seconds: float | None, interval: float | None) -> None:
    if offset < 0:
        raise ValueError(f"offset is {offset}: it must not be negative")
    if timeout_seconds is not None and timeout_seconds < 0:
        raise ValueError(f"timeout_seconds is {timeout_seconds}: it must not be negative")
    if interval is not None and not 0.001 <= interval < math.inf:
        raise ValueError(
            f"polling_interval_sec is {interval}: it must be at least 0.001 and finite"
        )
