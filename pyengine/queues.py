"""Queues: declared at import or registered at run time, and enqueued on from anywhere."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, ParamSpec, TypedDict, TypeVar

from pyengine.context import EnqueueChoice, check_enqueue_choice, current_options
from pyengine.current import find_runtime, get_runtime
from pyengine.database import calls
from pyengine.database.rows import QueueRow
from pyengine.decorators import registered_workflow
from pyengine.effects import Effect, Flow
from pyengine.enqueue_options import placement_of
from pyengine.errors import DBOSException
from pyengine.execution import Prepared, Runtime
from pyengine.handles import Handle, HandleAsync, WorkflowHandle, WorkflowHandleAsync

P = ParamSpec("P")
R = TypeVar("R")

OnConflict = Literal["update_if_latest_version", "always_update", "never_update"]


class QueueRateLimit(TypedDict):
    """At most `limit` starts in any window of `period` seconds."""

    limit: int
    period: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """The limits of a queue; None is no limit."""

    worker_concurrency: int | None = None
    concurrency: int | None = None
    partition_concurrency: int | None = None
    partition_worker_concurrency: int | None = None
    limiter: QueueRateLimit | None = None
    partition_limiter: QueueRateLimit | None = None
    polling_interval_sec: float = 1.0
    max_depth: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that contradict each other.

        Raises:
            ValueError: Names the limit and what is wrong with it.
        """
        self._check_positive()
        self._check_order("worker_concurrency", "concurrency")
        self._check_order("partition_concurrency", "concurrency")
        for larger in ("partition_concurrency", "worker_concurrency", "concurrency"):
            self._check_order("partition_worker_concurrency", larger)
        _check_limiter("limiter", self.limiter)
        _check_limiter("partition_limiter", self.partition_limiter)

    def parameters(self) -> dict[str, object]:
        """The limits under the names of the SQL function's parameters."""
        limiter, partition = self.limiter, self.partition_limiter
        return {
            "worker_concurrency": self.worker_concurrency,
            "concurrency": self.concurrency,
            "partition_concurrency": self.partition_concurrency,
            "partition_worker_concurrency": self.partition_worker_concurrency,
            "limiter_limit": limiter and limiter["limit"],
            "limiter_period_seconds": limiter and limiter["period"],
            "partition_limiter_limit": partition and partition["limit"],
            "partition_limiter_period_seconds": partition and partition["period"],
            "polling_interval_seconds": self.polling_interval_sec,
            "max_depth": self.max_depth,
        }

    def _check_positive(self) -> None:
        for name in (
            "worker_concurrency",
            "concurrency",
            "partition_concurrency",
            "partition_worker_concurrency",
            "max_depth",
            "polling_interval_sec",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}: it must be more than 0, or None for no limit")

    def _check_order(self, smaller: str, larger: str) -> None:
        low, high = getattr(self, smaller), getattr(self, larger)
        if low is not None and high is not None and low > high:
            raise ValueError(f"{smaller} is {low}, more than {larger}, which is {high}")


def _check_limiter(name: str, limiter: Mapping[str, Any] | None) -> None:
    if limiter is None:
        return
    if set(limiter) != {"limit", "period"}:
        raise ValueError(f'{name} is {dict(limiter)}: give {{"limit": 10, "period": 60}} (seconds)')
    if not limiter["limit"] > 0 or not limiter["period"] > 0:
        raise ValueError(f"{name} is {dict(limiter)}: limit and period must be more than 0")


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
        return queue

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

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
        runtime = get_runtime("Queue.enqueue")
        return Handle(runtime, runtime.run(enqueue_flow(runtime, self.name, func, args, kwargs)))

    async def enqueue_async(
        self, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[Any]:
        """As `enqueue`."""
        runtime = get_runtime("Queue.enqueue_async")
        flow = enqueue_flow(runtime, self.name, func, args, kwargs)
        return HandleAsync(runtime, await runtime.run_async(flow))

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
        row = self._row()
        return _rate_limit(row.limiter_limit, row.limiter_period)

    @property
    def partition_limiter(self) -> QueueRateLimit | None:
        """How many with the same key may start in a window."""
        row = self._row()
        return _rate_limit(row.partition_limiter_limit, row.partition_limiter_period)

    @property
    def polling_interval_sec(self) -> float:
        """As given; work is announced, not polled for."""
        return self._row().polling_interval.total_seconds()

    @property
    def max_depth(self) -> int | None:
        """How many may wait."""
        return self._row().max_depth

    def _row(self) -> QueueRow:
        return _found(self.name, get_runtime(f"queue {self.name}").run(_one(_find(self.name))))

    async def _row_async(self) -> QueueRow:
        runtime = get_runtime(f"queue {self.name}")
        return _found(self.name, await runtime.run_async(_one(_find(self.name))))


def _rate_limit(limit: int | None, period: Any) -> QueueRateLimit | None:
    return None if limit is None else {"limit": limit, "period": period.total_seconds()}


def _find(name: str) -> Effect:
    return calls.list_queues(application_name=None, queue_names=[name])


def _found(name: str, rows: list[QueueRow]) -> QueueRow:
    if not rows:
        raise DBOSException(f"there is no queue {name}: register it with DBOS.register_queue first")
    return rows[0]


def _one(effect: Effect) -> Flow[Any]:
    return (yield effect)


def _changes(name: str, value: Any) -> dict[str, Any]:
    if name in ("limiter", "partition_limiter"):
        _check_limiter(name, value)
        return {
            f"{name}_limit": value and value["limit"],
            f"{name}_period_seconds": value and value["period"],
        }
    names = {
        "global_concurrency": "concurrency",
        "polling_interval_sec": "polling_interval_seconds",
    }
    return {names.get(name, name): value}


def _add_accessors(name: str) -> None:
    """Give `Queue` the methods set_X, set_X_async and get_X_async of a property."""

    def change(self: Queue, value: Any) -> Effect:
        return calls.change_queue(queue_name=self.name, changes=json.dumps(_changes(name, value)))

    def set_value(self: Queue, value: Any) -> None:
        get_runtime(f"queue {self.name}").run(_one(change(self, value)))

    async def set_value_async(self: Queue, value: Any) -> None:
        await get_runtime(f"queue {self.name}").run_async(_one(change(self, value)))

    async def get_value_async(self: Queue) -> Any:
        row = await self._row_async()
        if name in ("limiter", "partition_limiter"):
            return _rate_limit(getattr(row, f"{name}_limit"), getattr(row, f"{name}_period"))
        if name == "polling_interval_sec":
            return row.polling_interval.total_seconds()
        return getattr(row, {"global_concurrency": "concurrency"}.get(name, name))

    for method, prefix, suffix, doc in (
        (set_value, "set", "", f"Change {name} for all processes, from their next claim on."),
        (set_value_async, "set", "_async", f"As `set_{name}`."),
        (get_value_async, "get", "_async", f"As the property `{name}`."),
    ):
        method.__doc__ = doc
        setattr(Queue, f"{prefix}_{name}{suffix}", method)


for _name in (
    "concurrency",
    "global_concurrency",
    "worker_concurrency",
    "partition_concurrency",
    "partition_worker_concurrency",
    "limiter",
    "partition_limiter",
    "polling_interval_sec",
    "max_depth",
):
    _add_accessors(_name)


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
            runtime.run(_one(register(runtime, name, limits, "always_update")))

    def register_all(self, runtime: Runtime) -> None:
        """Register all declared queues."""
        for name, limits in sorted(self._limits.items()):
            runtime.run(_one(register(runtime, name, limits, "always_update")))

    def clear(self) -> None:
        """Forget all declarations."""
        self._limits.clear()


declared = DeclaredQueues()


def register(runtime: Runtime, name: str, limits: QueueLimits, on_conflict: OnConflict) -> Effect:
    """The call that registers a queue for the running application."""
    return calls.register_queue(
        queue_name=name,
        application_name=runtime.application.name,
        on_conflict="never_update" if on_conflict == "never_update" else "always_update",
        limits=limits.parameters(),
    )


def check_queue_name(name: str) -> str:
    """Refuse what can't be a queue's name.

    Raises:
        ValueError: The name is blank, too long, or reserved.
    """
    if not name.strip() or len(name.encode()) > 255 or "\x00" in name:
        raise ValueError("a queue's name must be a text of 1 to 255 bytes that is not blank")
    if name.startswith(("_dbos_", "_pyengine_")):
        raise ValueError(f"the queue name {name} begins with a reserved prefix: choose another")
    return name


def one_concurrency(concurrency: int | None, global_concurrency: int | None) -> int | None:
    """`concurrency` and `global_concurrency` are two names of one limit.

    Raises:
        ValueError: Both were given.
    """
    if concurrency is not None and global_concurrency is not None:
        raise ValueError("concurrency and global_concurrency are the same limit: give one of them")
    return concurrency if concurrency is not None else global_concurrency


def enqueue_flow(
    runtime: Runtime,
    queue_name: str,
    func: Callable[..., Any] | Callable[..., Coroutine[Any, Any, Any]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Flow[str]:
    """Enqueue a workflow under the options of the surrounding blocks; the id of the workflow."""
    workflow, bound = registered_workflow(func, "Queue.enqueue")
    choice = current_options().enqueue or EnqueueChoice()
    partition_key = _partition_key(func, kwargs, choice)
    placement = placement_of(queue_name, choice)
    if partition_key is not None:
        placement = replace(placement, partition_key=partition_key, is_serial=True)
    prepared: Prepared = runtime.prepare(
        workflow, (*bound, *args), kwargs, placement, choice.app_version
    )
    return runtime.enqueue(prepared)


def _partition_key(
    func: Callable[..., Any], kwargs: dict[str, Any], choice: EnqueueChoice
) -> str | None:
    """The `partition_key=` of an enqueue, unless the function wants it for itself."""
    if "partition_key" not in kwargs:
        return None
    parameters = inspect.signature(func).parameters.values()
    if any(p.name == "partition_key" or p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    if choice.queue_partition_key is not None:
        raise DBOSException(
            "partition_key was given together with SetEnqueueOptions(queue_partition_key=...): give one of them"
        )
    key = kwargs.pop("partition_key")
    if key is not None:
        check_enqueue_choice(EnqueueChoice(choice.deduplication_id, queue_partition_key=str(key)))
    return None if key is None else str(key)
