"""Debouncing: start a workflow once calls with a key have stopped for a while, with the inputs of the last."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from pyengine.arguments import is_between
from pyengine.context import current_options, take_chosen_id
from pyengine.current import acting, get_runtime
from pyengine.decorators import registered_workflow
from pyengine.effects import Flow
from pyengine.enqueue_options import EnqueueOptions, prepare_by_options
from pyengine.errors import DBOSException
from pyengine.execution import Runtime
from pyengine.flows.debouncing import Debounce, debounce_workflow
from pyengine.flows.workflows import Placement, Target
from pyengine.handles import Handle, HandleAsync, WorkflowHandle, WorkflowHandleAsync
from pyengine.identity import authorize, current_identity
from pyengine.queues import Queue
from pyengine.runs import Identity

if TYPE_CHECKING:
    from pyengine.client import DBOSClient

P = ParamSpec("P")
R = TypeVar("R")


class Debouncer(Generic[P, R]):
    """Puts a workflow off with each call, and starts it when the calls have stopped for a while.

    The first call with a key enqueues the workflow; each later one replaces its inputs and puts it off again, until it
    starts. Then the key is free, and the next call enqueues another. May be constructed at import.

    Args:
        workflow_name: The registered name of a workflow; `Debouncer.create` takes the function instead.
        debounce_timeout_sec: At most this long after the first call it starts, in seconds; None is no limit.
        queue: The queue, or its name; without one the workflow starts as soon as a process has time.
        application_name: Another application, which has the workflow.

    Raises:
        DBOSException: The timeout is not more than 0.
    """

    def __init__(
        self: Debouncer[..., Any],
        workflow_name: str,
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> None:
        self.workflow_name = workflow_name
        self._timeout = check_timeout(debounce_timeout_sec)
        self._queue_name = queue.name if isinstance(queue, Queue) else queue
        self._application_name = application_name

    @staticmethod
    def create(
        workflow: Callable[P, R],
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> Debouncer[P, R]:
        """A debouncer of a workflow function.

        Args:
            workflow: A function with `@DBOS.workflow()`, not a bound method.
            debounce_timeout_sec: As for `Debouncer`.
            queue: As for `Debouncer`.
            application_name: As for `Debouncer`.

        Raises:
            TypeError: A bound method.
            DBOSWorkflowFunctionNotFoundError: The function is not decorated.
        """
        debouncer = Debouncer(
            _name_of(workflow),
            debounce_timeout_sec=debounce_timeout_sec,
            queue=queue,
            application_name=application_name,
        )
        return cast("Debouncer[P, R]", debouncer)

    @staticmethod
    def create_async(
        workflow: Callable[P, Coroutine[Any, Any, R]],
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> Debouncer[P, R]:
        """As `create`, for a coroutine function."""
        debouncer = Debouncer(
            _name_of(workflow),
            debounce_timeout_sec=debounce_timeout_sec,
            queue=queue,
            application_name=application_name,
        )
        return cast("Debouncer[P, R]", debouncer)

    def debounce(
        self, debounce_key: str, debounce_period_sec: float, *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandle[R]:
        """Put the workflow of a key off, or enqueue it. It is durable when this returns.

        Args:
            debounce_key: Calls with the same key are for the same workflow.
            debounce_period_sec: The workflow starts this long after the last call, in seconds.
            args: The arguments of the workflow; those of the last call count.
            kwargs: Its keyword arguments.

        Returns:
            The handle of the workflow that will run for this call and for those that follow.

        Raises:
            DBOSQueueDeduplicatedError: Another kind of workflow holds the key.
            DBOSException: The period is negative, an option of a surrounding block can't be used here, the workflow is
                not registered, or there is no such queue.
        """
        runtime = get_runtime("Debouncer.debounce")
        flow = self._flow(runtime, debounce_key, debounce_period_sec, args, kwargs)
        return Handle(runtime, runtime.run(flow))

    async def debounce_async(
        self, debounce_key: str, debounce_period_sec: float, *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandleAsync[R]:
        """As `debounce`."""
        runtime = get_runtime("Debouncer.debounce_async")
        flow = self._flow(runtime, debounce_key, debounce_period_sec, args, kwargs)
        return HandleAsync(runtime, await runtime.run_async(flow))

    def _flow(
        self,
        runtime: Runtime,
        key: str,
        period: float,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Flow[str]:
        """Check, number, name and encode a call; nothing is stored yet."""
        debounce = Debounce(check_key(key), check_period(period), self._timeout)
        app_version = _app_version()
        target, tag, identity = self._target(runtime)
        prepared = runtime.prepare_by_name(
            target,
            args,
            kwargs,
            Placement(self._queue_name),
            tag=tag,
            runners=runtime.runners(app_version, self._application_name),
            chosen=take_chosen_id(),
            identity=identity,
            step_count=2,
        )
        return debounce_workflow(prepared.request, debounce, prepared.parent, prepared.step_id)

    def _target(self, runtime: Runtime) -> tuple[Target, str | None, Identity | None]:
        """The workflow's function, its serialization, and on whose behalf it runs; None is as always."""
        if self._application_name not in (None, runtime.application.name):
            return Target(self.workflow_name), None, None
        found = runtime.registry.find(self.workflow_name, None, None)
        if found is None:
            raise DBOSException(
                f"a debouncer was made for {self.workflow_name!r}, which is not a registered workflow function: "
                "decorate it with @DBOS.workflow()"
            )
        workflow, _ = found
        identity = authorize(workflow.name, workflow.roles, current_identity())
        return runtime.registry.target(workflow, ())[0], workflow.serialization, identity


class DebouncerClient:
    """A `Debouncer` of a program that runs no workflows.

    Args:
        client: The client to go through.
        workflow_options: The workflow's name, and how it is enqueued; options that a debouncer decides are refused.
        debounce_timeout_sec: As for `Debouncer`.
        queue: As for `Debouncer`; the `queue_name` of the options by default.
        application_name: As for `Debouncer`; that of the options or of the client by default.

    Raises:
        DBOSException: An option can't be used here, or the timeout is not more than 0.
    """

    def __init__(
        self,
        client: DBOSClient,
        workflow_options: EnqueueOptions,
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> None:
        _refuse(workflow_options)
        self._client = client
        self._options = workflow_options.copy()
        self._timeout = check_timeout(debounce_timeout_sec)
        if queue is not None:
            self._options["queue_name"] = queue.name if isinstance(queue, Queue) else queue
        if application_name is not None:
            self._options["application_name"] = application_name

    def debounce(
        self, debounce_key: str, debounce_period_sec: float, *args: Any, **kwargs: Any
    ) -> WorkflowHandle[Any]:
        """Put the workflow of a key off, or enqueue it. See `Debouncer.debounce`."""
        with acting(runtime := self._client.runtime):
            flow = self._flow(debounce_key, debounce_period_sec, args, kwargs)
            return Handle(runtime, runtime.run(flow))

    async def debounce_async(
        self, debounce_key: str, debounce_period_sec: float, *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[Any]:
        """As `debounce`."""
        with acting(runtime := self._client.runtime):
            flow = self._flow(debounce_key, debounce_period_sec, args, kwargs)
            return HandleAsync(runtime, await runtime.run_async(flow))

    def _flow(
        self, key: str, period: float, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Flow[str]:
        debounce = Debounce(check_key(key), check_period(period), self._timeout)
        prepared = prepare_by_options(self._client.runtime, self._options, args, kwargs)
        return debounce_workflow(prepared.request, debounce)


def _name_of(workflow: Callable[..., Any]) -> str:
    registered, bound = registered_workflow(workflow, "Debouncer.create")
    if bound:
        raise TypeError(
            f"workflow {registered.name} is a bound method: only functions and static methods can be debounced"
        )
    return registered.name


def _app_version() -> str | None:
    """The version that the surrounding block asks for; what else it asks for can't be had here."""
    options = current_options()
    choice, chosen = options.enqueue, options.chosen_id
    _refuse({} if choice is None else asdict(choice))
    _refuse({} if chosen is None else {"workflow_id_reuse_policy": chosen.reuse_policy})
    return choice.app_version if choice is not None else None


# What a debouncer decides itself.
_DECIDED = (
    "deduplication_id",
    "delay_seconds",
    "priority",
    "queue_partition_key",
    "throttle_key",
)
_POLICIES = {"duplication_policy": "return-existing", "workflow_id_reuse_policy": "reject"}


def _refuse(options: Mapping[str, Any]) -> None:
    given = [name for name in _DECIDED if options.get(name) is not None]
    given += [
        f"{name} {value!r}" for name, value in _POLICIES.items() if options.get(name) == value
    ]
    if given:
        raise DBOSException(
            f"{' and '.join(given)} can't be used with a debouncer: its key and period take their place"
        )


def check_key(key: object) -> str:
    """Refuse what can't be a debounce key.

    Raises:
        DBOSException: It is not text, or contains a NUL character.
    """
    if not isinstance(key, str) or "\x00" in key:
        raise DBOSException("debounce_key must be a str without NUL characters")
    return key


def check_period(seconds: float) -> float:
    """Refuse what can't be a debounce period, in seconds.

    Raises:
        DBOSException: It is negative or not finite.
    """
    if not is_between(0, seconds, math.inf):
        raise DBOSException(
            f"debounce_period_sec is {seconds!r}: it must be a number of seconds, finite and not negative"
        )
    return seconds


def check_timeout(seconds: float | None) -> float | None:
    """Refuse what can't be a debounce timeout, in seconds.

    Raises:
        DBOSException: It is not more than 0, or not finite.
    """
    if seconds is not None and not (is_between(0, seconds, math.inf) and seconds > 0):
        raise DBOSException(
            f"debounce_timeout_sec is {seconds!r}: it must be a number of seconds, finite and more than 0"
        )
    return seconds
