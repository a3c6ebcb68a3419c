"""Queues: declared at import or registered at run time, and enqueued on from anywhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar, overload

from pyengine.current import acting_client, find_runtime, get_runtime
from pyengine.database import queue_calls
from pyengine.database.rows import QueueRow
from pyengine.effects import Effect, Flow
from pyengine.enqueueing import enqueue_flow, enqueue_many_flow, prepare_enqueue
from pyengine.errors import DBOSException
from pyengine.execution import Runtime
from pyengine.flows.workflows import Application
from pyengine.handles import Handle, HandleAsync, WorkflowHandle, WorkflowHandleAsync
from pyengine.in_transaction import run_in_transaction
from pyengine.queue_limits import (
    QueueLimits,
    QueueRateLimit,
    check_limiter,
    check_queue_name,
    one_concurrency,
)

R = TypeVar("R")
V = TypeVar("V")

OnConflict = Literal["update_if_latest_version", "always_update", "never_update"]


def _rate_limit(limit: int | None, period: Any) -> QueueRateLimit | None:
    return None if limit is None else {"limit": limit, "period": period.total_seconds()}


def _find(name: str) -> Effect:
    return queue_calls.list_queues(application_name=None, queue_names=[name])


def _found(name: str, rows: list[QueueRow]) -> QueueRow:
    if not rows:
        raise DBOSException(f"there is no queue {name}: register it with DBOS.register_queue first")
    return rows[0]


def _one(effect: Effect) -> Flow[Any]:
    return (yield effect)


def _change(queue: Queue, name: str, value: Any) -> Effect:
    names = {
        "global_concurrency": "concurrency",
        "polling_interval_sec": "polling_interval_seconds",
    }
    changes = {names.get(name, name): value}
    if name in ("limiter", "partition_limiter"):
        check_limiter(name, value)
        changes = {
            f"{name}_limit": value and value["limit"],
            f"{name}_period_seconds": value and value["period"],
        }
    return queue_calls.change_queue(queue_name=queue.name, changes=json.dumps(changes))


class _Setter(Generic[V]):
    """A method `set_X(value)`: changes a property for all processes, from their next claim on."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, queue: Queue, owner: type[Queue]) -> Callable[[V], None]:
        def set_value(value: V) -> None:
            runtime = queue.runtime()
            runtime.run(_one(_change(queue, self._name, value)))

        return set_value


class _AsyncSetter(Generic[V]):
    """A method `set_X_async(value)`: as `set_X`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, queue: Queue, owner: type[Queue]) -> Callable[[V], Awaitable[None]]:
        async def set_value(value: V) -> None:
            runtime = queue.runtime()
            await runtime.run_async(_one(_change(queue, self._name, value)))

        return set_value


class _AsyncGetter(Generic[V]):
    """A method `get_X_async()`: as the property X."""

    def __init__(self, read: Callable[[QueueRow], V]) -> None:
        self._read = read

    def __get__(self, queue: Queue, owner: type[Queue]) -> Callable[[], Awaitable[V]]:
        async def get_value() -> V:
            runtime = queue.runtime()
            return self._read(_found(queue.name, await runtime.run_async(_one(_find(queue.name)))))

        return get_value


def _limiter(row: QueueRow) -> QueueRateLimit | None:
    return _rate_limit(row.limiter_limit, row.limiter_period)


def _partition_limiter(row: QueueRow) -> QueueRateLimit | None:
    return _rate_limit(row.partition_limiter_limit, row.partition_limiter_period)


def _polling_interval(row: QueueRow) -> float:
    return row.polling_interval.total_seconds()


class Queue:
    """A queue. Constructed at import, it is registered when DBOS is launched; its limits hold in all processes.

    Args:
        name: The name, not beginning with `_dbos_` or `_pyengine_`.
        concurrency: How many of its workflows run at once in all processes (= `global_concurrency`).
        limiter: At most `limit` starts in any window of `period` seconds.
        worker_concurrency: How many run at once in one process.
        global_concurrency: Another name for `concurrency`.
        partition_concurrency: How many with the same partition key run at once.
        partition_worker_concurrency: How many with the same key run at once in one process.
        partition_limiter: A limiter for each key.
        polling_interval_sec: Accepted for compatibility; work is announced, not polled for.
        max_depth: How many may wait; a further enqueue raises DBOSBackpressureError.
        priority_enabled: Accepted for compatibility; every queue has priorities.
        partition_queue: Accepted for compatibility; a partition limit makes a queue partitioned.

    Raises:
        ValueError: The name is reserved, or limits contradict each other.
    """

    def __init__(
        self,
        name: str,
        concurrency: int | None = None,
        limiter: QueueRateLimit | None = None,
        *,
        worker_concurrency: int | None = None,
        global_concurrency: int | None = None,
        partition_concurrency: int | None = None,
        partition_worker_concurrency: int | None = None,
        partition_limiter: QueueRateLimit | None = None,
        polling_interval_sec: float = 1.0,
        max_depth: int | None = None,
        priority_enabled: bool = False,
        partition_queue: bool = False,
    ) -> None:
        del priority_enabled, partition_queue
        self.name = check_queue_name(name)
        self.application_name: str | None = None
        self.client: Runtime | None = None
        limits = QueueLimits(
            worker_concurrency=worker_concurrency,
            concurrency=one_concurrency(concurrency, global_concurrency),
            partition_concurrency=partition_concurrency,
            partition_worker_concurrency=partition_worker_concurrency,
            limiter=limiter,
            partition_limiter=partition_limiter,
            polling_interval_sec=polling_interval_sec,
            max_depth=max_depth,
        )
        declared.add(self.name, limits)

    @classmethod
    def of_row(cls, row: QueueRow) -> Queue:
        """A queue that is registered."""
        queue = cls.__new__(cls)
        queue.name = row.queue_name
        queue.application_name = row.application_name
        queue.client = acting_client()
        return queue

    def runtime(self) -> Runtime:
        """What this queue is looked at and changed through: the client it comes from, or the launched engine."""
        return self.client or get_runtime(f"queue {self.name}")

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    @overload
    def enqueue(
        self, func: Callable[..., Coroutine[Any, Any, R]], *args: Any, **kwargs: Any
    ) -> WorkflowHandle[R]: ...

    @overload
    def enqueue(self, func: Callable[..., R], *args: Any, **kwargs: Any) -> WorkflowHandle[R]: ...

    def enqueue(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """Enqueue a workflow (or a step, as a workflow). It is durable when this returns.

        Args:
            func: The workflow.
            args: Its arguments.
            kwargs: Its keyword arguments. `partition_key=` is taken as the partition key when the function has
                no such parameter: workflows with the same key then run one at a time, in order.

        Raises:
            DBOSQueueDeduplicatedError: The deduplication id is held.
            DBOSBackpressureError: The queue is full.
        """
        runtime = self._for_enqueue("enqueue")
        return Handle(runtime, runtime.run(enqueue_flow(runtime, self.name, func, args, kwargs)))

    @overload
    async def enqueue_async(
        self, func: Callable[..., Coroutine[Any, Any, R]], *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[R]: ...

    @overload
    async def enqueue_async(
        self, func: Callable[..., R], *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[R]: ...

    async def enqueue_async(
        self, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[Any]:
        """As `enqueue`."""
        runtime = self._for_enqueue("enqueue_async")
        flow = enqueue_flow(runtime, self.name, func, args, kwargs)
        return HandleAsync(runtime, await runtime.run_async(flow))

    def enqueue_many(
        self,
        func: Callable[..., Any],
        arguments: Iterable[Sequence[Any] | Mapping[str, Any]],
    ) -> list[WorkflowHandle[Any]]:
        """Enqueue a workflow many times, all or none, in one commit: much faster than one by one.

        Args:
            func: The workflow.
            arguments: For each workflow a sequence of its arguments, or a mapping of its keyword arguments; at
                most 10,000 at once.

        Raises:
            DBOSInvalidArgumentError: There are too many, or an item is neither a sequence nor a mapping.
            DBOSBackpressureError: The queue has no room for them all.
        """
        runtime = get_runtime("Queue.enqueue_many")
        ids = runtime.run(enqueue_many_flow(runtime, self.name, func, arguments))
        return [Handle(runtime, workflow_id) for workflow_id in ids]

    async def enqueue_many_async(
        self,
        func: Callable[..., Any],
        arguments: Iterable[Sequence[Any] | Mapping[str, Any]],
    ) -> list[WorkflowHandleAsync[Any]]:
        """As `enqueue_many`."""
        runtime = get_runtime("Queue.enqueue_many_async")
        ids = await runtime.run_async(enqueue_many_flow(runtime, self.name, func, arguments))
        return [HandleAsync(runtime, workflow_id) for workflow_id in ids]

    def enqueue_in_transaction(
        self, connection: Any, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> WorkflowHandle[Any]:
        """Enqueue a workflow in a transaction of yours: it exists if, and only if, that commits.

        Args:
            connection: A psycopg connection, or a SQLAlchemy connection or session, to the engine's database. You
                commit it.
            func: As for `enqueue`.
            args: As for `enqueue`.
            kwargs: As for `enqueue`.

        Raises:
            DBOSException: `duplication_policy` is "return-existing", which needs a transaction of its own.
            DBOSQueueDeduplicatedError: The deduplication id is held.
            DBOSBackpressureError: The queue is full.
        """
        runtime = self._for_enqueue("enqueue_in_transaction")
        prepared = prepare_enqueue(runtime, self.name, func, args, kwargs, is_independent=True)
        return Handle(runtime, run_in_transaction(connection, runtime, prepared))

    @property
    def concurrency(self) -> int | None:
        """How many of its workflows run at once in all processes, as registered now."""
        return self._row().concurrency

    global_concurrency = concurrency

    @property
    def worker_concurrency(self) -> int | None:
        """How many run at once in one process."""
        return self._row().worker_concurrency

    @property
    def partition_concurrency(self) -> int | None:
        """How many with the same partition key run at once."""
        return self._row().partition_concurrency

    @property
    def partition_worker_concurrency(self) -> int | None:
        """How many with the same key run at once in one process."""
        return self._row().partition_worker_concurrency

    @property
    def limiter(self) -> QueueRateLimit | None:
        """How many may start in a window."""
        return _limiter(self._row())

    @property
    def partition_limiter(self) -> QueueRateLimit | None:
        """How many with the same key may start in a window."""
        return _partition_limiter(self._row())

    @property
    def polling_interval_sec(self) -> float:
        """As given; work is announced, not polled for."""
        return _polling_interval(self._row())

    @property
    def max_depth(self) -> int | None:
        """How many may wait."""
        return self._row().max_depth

    def _for_enqueue(self, method: str) -> Runtime:
        if self.client is not None:
            raise DBOSException(
                f"Queue.{method} runs functions of this process, and queue {self.name} was obtained from a DBOSClient: "
                f"use DBOSClient.{method} with the workflow's name"
            )
        return get_runtime(f"Queue.{method}")

    def _row(self) -> QueueRow:
        return _found(self.name, self.runtime().run(_one(_find(self.name))))

    set_concurrency = _Setter[int | None]("concurrency")
    set_concurrency_async = _AsyncSetter[int | None]("concurrency")
    get_concurrency_async = _AsyncGetter[int | None](attrgetter("concurrency"))
    set_global_concurrency = _Setter[int | None]("global_concurrency")
    set_global_concurrency_async = _AsyncSetter[int | None]("global_concurrency")
    get_global_concurrency_async = _AsyncGetter[int | None](attrgetter("concurrency"))
    set_worker_concurrency = _Setter[int | None]("worker_concurrency")
    set_worker_concurrency_async = _AsyncSetter[int | None]("worker_concurrency")
    get_worker_concurrency_async = _AsyncGetter[int | None](attrgetter("worker_concurrency"))
    set_partition_concurrency = _Setter[int | None]("partition_concurrency")
    set_partition_concurrency_async = _AsyncSetter[int | None]("partition_concurrency")
    get_partition_concurrency_async = _AsyncGetter[int | None](attrgetter("partition_concurrency"))
    set_partition_worker_concurrency = _Setter[int | None]("partition_worker_concurrency")
    set_partition_worker_concurrency_async = _AsyncSetter[int | None](
        "partition_worker_concurrency"
    )
    get_partition_worker_concurrency_async = _AsyncGetter[int | None](
        attrgetter("partition_worker_concurrency")
    )
    set_max_depth = _Setter[int | None]("max_depth")
    set_max_depth_async = _AsyncSetter[int | None]("max_depth")
    get_max_depth_async = _AsyncGetter[int | None](attrgetter("max_depth"))
    set_limiter = _Setter[QueueRateLimit | None]("limiter")
    set_limiter_async = _AsyncSetter[QueueRateLimit | None]("limiter")
    get_limiter_async = _AsyncGetter(_limiter)
    set_partition_limiter = _Setter[QueueRateLimit | None]("partition_limiter")
    set_partition_limiter_async = _AsyncSetter[QueueRateLimit | None]("partition_limiter")
    get_partition_limiter_async = _AsyncGetter(_partition_limiter)
    set_polling_interval_sec = _Setter[float]("polling_interval_sec")
    set_polling_interval_sec_async = _AsyncSetter[float]("polling_interval_sec")
    get_polling_interval_sec_async = _AsyncGetter(_polling_interval)


class DeclaredQueues:
    """The queues that modules declare when they are imported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: dict[str, QueueLimits] = {}

    def add(self, name: str, limits: QueueLimits) -> None:
        """Declare a queue; with a launched engine it is registered at once."""
        with self._lock:
            self._limits[name] = limits
        runtime = find_runtime()
        if runtime is not None:
            runtime.run(_one(register(runtime.application, name, limits, "always_update")))

    def register_all(self, runtime: Runtime) -> None:
        """Register all declared queues."""
        for name, limits in sorted(self._limits.items()):
            runtime.run(_one(register(runtime.application, name, limits, "always_update")))

    def clear(self) -> None:
        """Forget all declarations."""
        self._limits.clear()


declared = DeclaredQueues()


def register(
    application: Application, name: str, limits: QueueLimits, on_conflict: OnConflict
) -> Effect:
    """The call that registers a queue for an application."""
    return queue_calls.register_queue(
        queue_name=name,
        application_name=application.name,
        application_version=application.version,
        on_conflict=on_conflict,
        limits=limits.parameters(),
    )
