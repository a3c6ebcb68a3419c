"""The part of `DBOS` that registers queues and enqueues on them by name."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, overload

from pyengine import lifecycle
from pyengine.context import current_run
from pyengine.current import get_runtime
from pyengine.database import queue_calls
from pyengine.database.rows import QueueRow
from pyengine.effects import Effect, Flow
from pyengine.enqueue_options import EnqueueOptions, prepare_by_options
from pyengine.enqueueing import enqueue_flow
from pyengine.errors import DBOSException
from pyengine.execution import Runtime
from pyengine.flows.steps import record_operation
from pyengine.handles import Handle, HandleAsync, WorkflowHandle, WorkflowHandleAsync
from pyengine.queue_limits import (
    INTERNAL_QUEUES,
    QueueLimits,
    QueueRateLimit,
    check_queue_name,
    one_concurrency,
)
from pyengine.queues import OnConflict, Queue, register

R = TypeVar("R")


class QueueControl:
    """Looking at queues and steering them, and the delayed workflows in them."""

    @classmethod
    def retrieve_queue(cls, name: str) -> Queue | None:
        """A registered queue; None if there is none of that name."""
        runtime = get_runtime("DBOS.retrieve_queue")
        return _first(runtime.run(_rows(_by_name(name))))

    @classmethod
    async def retrieve_queue_async(cls, name: str) -> Queue | None:
        """As `retrieve_queue`."""
        runtime = get_runtime("DBOS.retrieve_queue_async")
        return _first(await runtime.run_async(_rows(_by_name(name))))

    @classmethod
    def list_queues(cls, *, application_name: str | None = None) -> list[Queue]:
        """The registered queues of this or another application, by name."""
        runtime = get_runtime("DBOS.list_queues")
        return _users(runtime.run(_rows(_all(runtime, application_name))))

    @classmethod
    async def list_queues_async(cls, *, application_name: str | None = None) -> list[Queue]:
        """As `list_queues`."""
        runtime = get_runtime("DBOS.list_queues_async")
        return _users(await runtime.run_async(_rows(_all(runtime, application_name))))

    @classmethod
    def delete_queue(cls, name: str) -> None:
        """Remove a queue; its waiting workflows stay, and run once it is registered again."""
        get_runtime("DBOS.delete_queue").run(_rows(queue_calls.delete_queue(queue_name=name)))

    @classmethod
    async def delete_queue_async(cls, name: str) -> None:
        """As `delete_queue`."""
        runtime = get_runtime("DBOS.delete_queue_async")
        await runtime.run_async(_rows(queue_calls.delete_queue(queue_name=name)))

    @classmethod
    def pause_queue(cls, name: str) -> None:
        """Hand out no more work of a queue; what runs goes on.

        Raises:
            DBOSException: There is no queue of that name.
        """
        get_runtime("DBOS.pause_queue").run(_rows(queue_calls.pause_queue(queue_name=name)))

    @classmethod
    async def pause_queue_async(cls, name: str) -> None:
        """As `pause_queue`."""
        runtime = get_runtime("DBOS.pause_queue_async")
        await runtime.run_async(_rows(queue_calls.pause_queue(queue_name=name)))

    @classmethod
    def resume_queue(cls, name: str) -> None:
        """Hand out work of a paused queue again.

        Raises:
            DBOSException: There is no queue of that name.
        """
        get_runtime("DBOS.resume_queue").run(_rows(queue_calls.resume_queue(queue_name=name)))

    @classmethod
    async def resume_queue_async(cls, name: str) -> None:
        """As `resume_queue`."""
        runtime = get_runtime("DBOS.resume_queue_async")
        await runtime.run_async(_rows(queue_calls.resume_queue(queue_name=name)))

    @classmethod
    def set_workflow_delay(
        cls,
        workflow_id: str,
        *,
        delay_seconds: float | None = None,
        delay_until_epoch_ms: int | None = None,
        shard_key: str | None = None,
    ) -> None:
        """Change when a delayed workflow may run; one that is not delayed is left alone.

        Args:
            workflow_id: Its id.
            delay_seconds: From now, in seconds.
            delay_until_epoch_ms: At this time, in milliseconds since 1970; exactly one of the two.
            shard_key: Accepted for compatibility.

        Raises:
            DBOSException: Not exactly one was given, or the delay is negative.
        """
        del shard_key
        runtime = get_runtime("DBOS.set_workflow_delay")
        runtime.run(_delay(workflow_id, delay_seconds, delay_until_epoch_ms))

    @classmethod
    async def set_workflow_delay_async(
        cls,
        workflow_id: str,
        *,
        delay_seconds: float | None = None,
        delay_until_epoch_ms: int | None = None,
        shard_key: str | None = None,
    ) -> None:
        """As `set_workflow_delay`."""
        del shard_key
        runtime = get_runtime("DBOS.set_workflow_delay_async")
        await runtime.run_async(_delay(workflow_id, delay_seconds, delay_until_epoch_ms))


class Queueing(QueueControl):
    """The part of `DBOS` that registers queues and enqueues on them by name."""

    @classmethod
    def register_queue(
        cls,
        name: str,
        *,
        worker_concurrency: int | None = None,
        global_concurrency: int | None = None,
        partition_concurrency: int | None = None,
        partition_worker_concurrency: int | None = None,
        partition_limiter: QueueRateLimit | None = None,
        limiter: QueueRateLimit | None = None,
        polling_interval_sec: float = 1.0,
        max_depth: int | None = None,
        on_conflict: OnConflict = "update_if_latest_version",
        concurrency: int | None = None,
    ) -> Queue:
        """Register a queue, or change the limits of a registered one; all processes follow. See `Queue`.

        Args:
            name: The queue's name.
            worker_concurrency: As for `Queue`.
            global_concurrency: As for `Queue`.
            partition_concurrency: As for `Queue`.
            partition_worker_concurrency: As for `Queue`.
            partition_limiter: As for `Queue`.
            limiter: As for `Queue`.
            polling_interval_sec: As for `Queue`.
            max_depth: As for `Queue`.
            on_conflict: For a queue that is registered already. "update_if_latest_version" changes its limits if
                this process runs the latest version of the application, so that during a deploy the old
                processes don't undo what the new ones say; "always_update" and "never_update" do as they say.
            concurrency: Another name for `global_concurrency`.

        Raises:
            ValueError: The name is reserved, or limits contradict each other.
            DBOSConflictError: The queue belongs to another application.
        """
        runtime = get_runtime("DBOS.register_queue")
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
        effect = register(runtime.application, check_queue_name(name), limits, on_conflict)
        return Queue.of_row(runtime.run(_rows(effect))[0])

    @classmethod
    async def register_queue_async(cls, name: str, **limits: Any) -> Queue:
        """As `register_queue`."""
        runtime = get_runtime("DBOS.register_queue_async")
        on_conflict = limits.pop("on_conflict", "update_if_latest_version")
        concurrency = one_concurrency(
            limits.pop("concurrency", None), limits.pop("global_concurrency", None)
        )
        checked = QueueLimits(concurrency=concurrency, **limits)
        effect = register(runtime.application, check_queue_name(name), checked, on_conflict)
        return Queue.of_row((await runtime.run_async(_rows(effect)))[0])

    @classmethod
    def listen_queues(cls, names: Sequence[str]) -> None:
        """Take work of these queues only; before launch, once. Unknown names count once they are registered.

        Raises:
            DBOSException: DBOS is launched, or this was called before.
        """
        lifecycle.listen_queues(names)

    @overload
    @classmethod
    def enqueue_workflow(
        cls,
        queue_name: str,
        func: Callable[..., Coroutine[Any, Any, R]],
        *args: Any,
        **kwargs: Any,
    ) -> WorkflowHandle[R]: ...

    @overload
    @classmethod
    def enqueue_workflow(
        cls, queue_name: str, func: Callable[..., R], *args: Any, **kwargs: Any
    ) -> WorkflowHandle[R]: ...

    @classmethod
    def enqueue_workflow(
        cls, queue_name: str, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> WorkflowHandle[Any]:
        """Enqueue a workflow on a queue by name; the queue need not be registered yet. See `Queue.enqueue`."""
        runtime = get_runtime("DBOS.enqueue_workflow")
        return Handle(runtime, runtime.run(enqueue_flow(runtime, queue_name, func, args, kwargs)))

    @overload
    @classmethod
    async def enqueue_workflow_async(
        cls,
        queue_name: str,
        func: Callable[..., Coroutine[Any, Any, R]],
        *args: Any,
        **kwargs: Any,
    ) -> WorkflowHandleAsync[R]: ...

    @overload
    @classmethod
    async def enqueue_workflow_async(
        cls, queue_name: str, func: Callable[..., R], *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[R]: ...

    @classmethod
    async def enqueue_workflow_async(
        cls, queue_name: str, func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[Any]:
        """As `enqueue_workflow`."""
        runtime = get_runtime("DBOS.enqueue_workflow_async")
        flow = enqueue_flow(runtime, queue_name, func, args, kwargs)
        return HandleAsync(runtime, await runtime.run_async(flow))

    @classmethod
    def enqueue_workflow_with_options(
        cls, options: EnqueueOptions, *args: Any, **kwargs: Any
    ) -> WorkflowHandle[Any]:
        """Enqueue a workflow by its registered name; the function need not exist in this process.

        Raises:
            DBOSException: An option is missing, unknown, or wrong.
        """
        runtime = get_runtime("DBOS.enqueue_workflow_with_options")
        prepared = prepare_by_options(runtime, options, args, kwargs)
        return Handle(runtime, runtime.run(runtime.enqueue(prepared)))

    @classmethod
    async def enqueue_workflow_with_options_async(
        cls, options: EnqueueOptions, *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[Any]:
        """As `enqueue_workflow_with_options`."""
        runtime = get_runtime("DBOS.enqueue_workflow_with_options_async")
        prepared = prepare_by_options(runtime, options, args, kwargs)
        return HandleAsync(runtime, await runtime.run_async(runtime.enqueue(prepared)))


def _rows(effect: Effect) -> Flow[list[Any]]:
    found: list[Any] = yield effect
    return found


def _by_name(name: str) -> Effect:
    return queue_calls.list_queues(application_name=None, queue_names=[name])


def _all(runtime: Runtime, application_name: str | None) -> Effect:
    return queue_calls.list_queues(
        application_name=application_name or runtime.application.name, queue_names=None
    )


def _users(rows: list[QueueRow]) -> list[Queue]:
    """All but the engine's own."""
    return [Queue.of_row(row) for row in rows if row.queue_name not in INTERNAL_QUEUES]


def _first(rows: list[QueueRow]) -> Queue | None:
    return Queue.of_row(rows[0]) if rows else None


def _delay(workflow_id: str, seconds: float | None, until_ms: int | None) -> Flow[None]:
    if (seconds is None) == (until_ms is None) or (seconds is not None and seconds < 0):
        raise DBOSException(
            "set_workflow_delay needs exactly one of delay_seconds (not negative) and delay_until_epoch_ms"
        )
    call = queue_calls.set_workflow_delay(
        workflow_id=workflow_id,
        delay_ms=None if seconds is None else seconds * 1000,
        delayed_until_ms=until_ms,
    )
    run = current_run()
    if run is None:
        yield call
    else:
        yield from record_operation(run, "DBOS.setWorkflowDelay", _nothing(call))


def _nothing(effect: Effect) -> Flow[None]:
    yield effect
