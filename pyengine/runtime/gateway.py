"""The one place that sends the engine's SQL: group commit for writes, plain calls for the rest.

Independent writes that are ready at the same moment go as one statement in one commit. Nothing waits for a batch
to fill: when the line is free a write goes at once, on its caller's own thread or loop; what arrives meanwhile is
the next batch. An operation returns only when its commit is durable. One bad item in a batch fails alone.

Threads share one lane; each event loop has its own, so that a loop blocked by user code delays only itself.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from pyengine.database.calls import Call, Write
from pyengine.database.session import Session
from pyengine.errors import DBOSInitializationError, translate
from pyengine.runtime.batches import Batch, Operation, compile_batch
from pyengine.runtime.retries import Retries
from pyengine.runtime.sessions import Sessions

MAX_BATCH = 500
MAX_BATCH_CHARACTERS = 4_000_000
_PARALLEL_CALLS = 4


class Gateway:
    """Sends calls and writes; `schema` is the engine's schema. `spawn` runs a job soon, in another thread.

    `waits_for_server` says whether calls outlast an outage of the database, or fail by it.
    """

    def __init__(
        self,
        sessions: Sessions,
        schema: str,
        spawn: Callable[[Callable[[], None]], None],
    ) -> None:
        self.sessions = sessions
        self.schema = schema
        self.executor_id: int | None = None
        self.waits_for_server = True
        self.round_trips_of_writes = 0
        self._threads = ThreadLane(self, spawn)
        self._calls = threading.BoundedSemaphore(_PARALLEL_CALLS)
        self._loops: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[LoopLane, LoopLane]
        ] = weakref.WeakKeyDictionary()

    def run(self, item: Call[Any] | Write) -> Any:
        """Perform a call or write, blocking: its rows, or a write's answer (None when it was stored)."""
        if isinstance(item, Write):
            return self._threads.submit(item)
        operation = Operation(item)
        with self._calls:
            self.perform([operation])
        return operation.outcome()

    def submit(self, item: Write, then: Callable[[Operation], None]) -> None:
        """Perform a write without waiting for it: `then(operation)` is called, in any thread, when it is settled."""
        self._threads.submit_detached(item, then)

    def run_own(self, call: Call[Any]) -> Any:
        """As `run`, for the engine's own few threads, which never queue behind the calls of users.

        Those may be held up by locks for as long as they like, and a heartbeat must not be late for that.
        """
        operation = Operation(call)
        self.perform([operation])
        return operation.outcome()

    async def run_async(self, item: Call[Any] | Write) -> Any:
        """As `run`, on the running event loop."""
        loop = asyncio.get_running_loop()
        lanes = self._loops.get(loop)
        if lanes is None:
            self.sessions.close_orphans()
            writes = LoopLane(self, width=1, batch=MAX_BATCH)
            calls = LoopLane(self, width=_PARALLEL_CALLS, batch=1)
            lanes = self._loops[loop] = (writes, calls)
        return await lanes[isinstance(item, Call)].submit(item, loop)

    def retries(self) -> Retries:
        """The repetitions of one more call."""
        return Retries(through_outages=self.waits_for_server)

    def compile(self, operations: Sequence[Operation]) -> Batch | None:
        """The statement for these operations; None (and they have failed) when they cannot be encoded."""
        try:
            return compile_batch(operations, self.schema, self.executor_id)
        except Exception as error:
            for operation in operations:
                operation.fail(error)
            return None

    def perform(self, operations: Sequence[Operation]) -> None:
        """Send these operations in one statement and settle each, blocking; repeats through outages."""
        batch = self.compile(operations)
        retries = self.retries()
        while batch is not None:
            try:
                with self.sessions.use() as session:
                    self.round_trips_of_writes += batch.writes
                    found = session.execute(batch.text, batch.parameters)
            except Exception as error:
                pause = retries.pause_after(error)
                if pause is None:
                    self._fail(operations, error)
                    return
                self.sessions.closed.wait(pause)
                batch = self._again(operations, batch)
            else:
                batch.settle(found)
                return

    def _again(self, operations: Sequence[Operation], batch: Batch) -> Batch | None:
        """The statement to send after a failure: a call may say that it is a repetition."""
        item = operations[0].item
        if not isinstance(item, Call) or not item.repeated:
            return batch
        operations[0].item = item.again()
        return self.compile(operations)

    def _fail(self, operations: Sequence[Operation], error: BaseException) -> None:
        """A statement failed for good: find the item that is to blame by sending each alone."""
        if len(operations) == 1:
            operations[0].fail(public_error(error))
            return
        for operation in operations:
            self.perform([operation])


def public_error(error: BaseException) -> BaseException:
    """The error as the engine's users see it."""
    if isinstance(error, psycopg.errors.InvalidSchemaName):
        return DBOSInitializationError(
            f"{error.diag.message_primary}: is it the right database, and the engine installed there? "
            "`pyengine migrate` installs it"
        )
    return translate(error) if isinstance(error, psycopg.Error) else error


def take_batch(pending: deque[Any], first: list[Any], limit: int) -> list[Any]:
    """Fill a batch from the waiting operations, bounded in number and size."""
    size = 0
    while pending and len(first) < limit and size < MAX_BATCH_CHARACTERS:
        if first and (first[0].alone or pending[0].alone):
            break
        operation = pending.popleft()
        size += len(operation.item.document) if isinstance(operation.item, Write) else 0
        first.append(operation)
    return first


class _InLine(Operation, ABC):
    """A write in the line of the threads, and what it took along when its turn came to lead."""

    __slots__ = ("taken",)

    def __init__(self, item: Write) -> None:
        super().__init__(item)
        self.taken: Sequence[_InLine] = ()

    @abstractmethod
    def lead(self) -> None:
        """See that somebody sends the next batch, this write first. Said twice it is said once."""

    @abstractmethod
    def resolve(self) -> None:
        """Let whoever gave the write go on, now that it is settled. Said twice it is said once."""


class _Waiting(_InLine):
    """A write of a thread that waits for its turn: to be settled by another thread, or to lead."""

    __slots__ = ("turn",)

    def __init__(self, item: Write) -> None:
        super().__init__(item)
        self.turn: threading.Lock | None = None

    def wait(self) -> None:
        """Be one of those that wait; whoever leads alone never comes here."""
        self.turn = threading.Lock()
        self.turn.acquire()

    def lead(self) -> None:
        """The thread that waits leads."""
        self.resolve()

    def resolve(self) -> None:
        """Let the thread go on."""
        if self.turn is not None and self.turn.locked():
            self.turn.release()


class _Detached(_InLine):
    """A write that no thread waits for."""

    __slots__ = ("lane", "then")

    def __init__(self, item: Write, then: Callable[[Operation], None], lane: ThreadLane) -> None:
        super().__init__(item)
        self.lane = lane
        self.then: Callable[[Operation], None] | None = then

    def lead(self) -> None:
        """A thread is found for it."""
        self.lane.spawn(lambda: self.lane.lead(self))

    def resolve(self) -> None:
        """Go on where the write left off, on the thread that sent it."""
        then, self.then = self.then, None
        if then is not None:
            then(self)


class ThreadLane:
    """Group commit among threads: whoever finds the lane free sends everything that waits.

    The next to lead is the thread of the write that waits longest; if none waits for that one, a thread is found by
    `spawn`, so that no user's thread is kept by the writes of others.

    A thread may be interrupted anywhere (Ctrl-C): then it hands the lane over before it goes. So each change of the
    lane is made in an order in which it can be made again from the start.
    """

    def __init__(self, gateway: Gateway, spawn: Callable[[Callable[[], None]], None]) -> None:
        self.spawn = spawn
        self._gateway = gateway
        self._lock = threading.Lock()
        self._pending: deque[_InLine] = deque()
        self._leader: _InLine | None = None
        self._is_crowded = False  # the last batch was more than one write

    def submit(self, item: Write) -> Any:
        """Perform a write: by leading a batch, or by waiting for another thread's."""
        operation = _Waiting(item)
        try:
            with self._lock:
                leads = self._leader is None
                if leads:
                    self._leader = operation
                else:
                    operation.wait()
                    self._pending.append(operation)
            if operation.turn is not None:
                operation.turn.acquire()
            if not operation.settled:
                self.lead(operation)
        except BaseException:
            self._abandon(operation)
            raise
        return operation.outcome()

    def submit_detached(self, item: Write, then: Callable[[Operation], None]) -> None:
        """Perform a write: by leading a batch at once, or by leaving it to whoever leads next."""
        operation = _Detached(item, then, self)
        with self._lock:
            leads = self._leader is None
            if leads:
                self._leader = operation
            else:
                self._pending.append(operation)
        if leads:
            self.lead(operation)

    def lead(self, leader: _InLine) -> None:
        """Send what waits in one batch, this write first; whose turn it is not does nothing."""
        if self._is_crowded:
            self._let_others_join()
        with self._lock:
            if self._leader is not leader or leader.taken:
                return
            self._take_out(leader)
            leader.taken = take_batch(self._pending, [leader], MAX_BATCH)
            self._is_crowded = len(leader.taken) > 1
        try:
            self._gateway.perform(leader.taken)
        finally:
            self._hand_over(leader)

    def _let_others_join(self) -> None:
        """Let threads that were just released come back with their next write, while each turn brings one."""
        waiting = -1
        while waiting < len(self._pending) < MAX_BATCH:
            waiting = len(self._pending)
            time.sleep(0)

    def _hand_over(self, leader: _InLine) -> None:
        """Pass the lane to the next that waits; an interrupted leader's followers are sent again."""
        with self._lock:
            if self._leader is leader:
                self._take_out(leader)
                for operation in reversed(leader.taken):
                    if not (operation.settled or operation is leader or operation in self._pending):
                        self._pending.appendleft(operation)
                self._leader = self._pending[0] if self._pending else None
            if self._leader is not None and self._is_first(self._leader):
                self._leader.lead()
        for operation in leader.taken:
            if operation.settled:
                operation.resolve()

    def _take_out(self, leader: _InLine) -> None:
        if self._is_first(leader):
            self._pending.popleft()

    def _is_first(self, operation: _InLine) -> bool:
        """Whether a write is the first in line: a leader stays there until it takes its batch."""
        return bool(self._pending) and self._pending[0] is operation

    def _abandon(self, operation: _InLine) -> None:
        """Its thread was interrupted: nobody waits for the write any more, and if it was to lead, another must."""
        with self._lock:
            if self._leader is not operation and operation in self._pending:
                self._pending.remove(operation)
        self._hand_over(operation)


class _Promise(Operation):
    """An operation that a task of the lane's loop waits for."""

    __slots__ = ("future",)

    def __init__(self, item: Call[Any] | Write, future: asyncio.Future[Any]) -> None:
        super().__init__(item)
        self.future = future

    def resolve(self) -> None:
        """Tell the waiting task, unless it was cancelled meanwhile."""
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class LoopLane:
    """Group commit among the tasks of one event loop, by callbacks: no task of a user carries another's batch."""

    def __init__(self, gateway: Gateway, *, width: int, batch: int) -> None:
        self._gateway = gateway
        self._free = width
        self._batch = batch
        self._pending: deque[_Promise] = deque()
        self._is_crowded = False  # the last batch was more than one write
        self._is_due = False

    async def submit(self, item: Call[Any] | Write, loop: asyncio.AbstractEventLoop) -> Any:
        """Perform a call or write and wait for it. A cancelled waiter does not undo what was sent."""
        promise = _Promise(item, loop.create_future())
        self._pending.append(promise)
        self._send_next(loop)
        return await promise.future

    def _send_next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what waits: at once, or after a batch of several when their tasks had time to bring the next write."""
        if not self._is_crowded:
            self._send_waiting(loop)
        elif not self._is_due:
            self._is_due = True
            loop.call_soon(self._send_waiting, loop)

    def _send_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_due = False
        while self._free and self._pending:
            batch = take_batch(self._pending, [], self._batch)
            self._free -= 1
            self._is_crowded = len(batch) > 1
            self._send(loop, batch, self._gateway.retries())

    def _send(
        self, loop: asyncio.AbstractEventLoop, promises: Sequence[_Promise], retries: Retries
    ) -> None:
        batch = self._gateway.compile(promises)
        if batch is None:
            self._finish(loop, promises)
            return
        session = self._gateway.sessions.take_idle()
        if session is not None:
            self._execute(loop, session, batch, promises, retries)
            return

        def opened(future: asyncio.Future[Session]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is not None:
                self._repeat(loop, promises, retries, error)
            else:
                self._execute(loop, future.result(), batch, promises, retries)

        loop.run_in_executor(None, self._gateway.sessions.open).add_done_callback(opened)

    def _execute(
        self,
        loop: asyncio.AbstractEventLoop,
        session: Session,
        batch: Batch,
        promises: Sequence[_Promise],
        retries: Retries,
    ) -> None:
        def done(found: list[tuple[Any, ...]] | None, error: BaseException | None) -> None:
            self._gateway.sessions.give_back(session)
            if error is not None:
                self._repeat(loop, promises, retries, error)
                return
            try:
                batch.settle(found or [])
            except Exception as unreadable:
                for promise in promises:
                    promise.fail(unreadable)
            self._finish(loop, promises)

        self._gateway.round_trips_of_writes += batch.writes
        self._gateway.sessions.lend(session, loop)
        session.start(loop, batch.text, batch.parameters, done)

    def _repeat(
        self,
        loop: asyncio.AbstractEventLoop,
        promises: Sequence[_Promise],
        retries: Retries,
        error: BaseException,
    ) -> None:
        pause = retries.pause_after(error)
        if pause is not None:
            loop.call_later(pause, self._send, loop, promises, retries)
        elif len(promises) == 1:
            promises[0].fail(public_error(error))
            self._finish(loop, promises)
        else:
            self._send_singly(loop, promises)

    def _send_singly(self, loop: asyncio.AbstractEventLoop, promises: Sequence[_Promise]) -> None:
        """A batch failed for good: the item that is to blame is found by sending each alone."""
        for promise in promises:
            promise.alone = True
        self._pending.extendleft(reversed(promises))
        self._free += 1
        self._send_next(loop)

    def _finish(self, loop: asyncio.AbstractEventLoop, promises: Sequence[_Promise]) -> None:
        self._free += 1
        for promise in promises:
            promise.resolve()
        self._send_next(loop)
