"""Steps whose number is drawn now and which run later."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from pyengine.context import current_run
from pyengine.current import find_runtime, refuse_running_loop
from pyengine.datasource_places import is_datasource_step
from pyengine.decorators import StepOptions, check_spec, step_async, step_sync
from pyengine.errors import DBOSException
from pyengine.flows.steps import StepSpec
from pyengine.runs import WorkflowRun


def spec_of(options: object, function: Callable[..., Any]) -> StepSpec:
    """The options of a step that is given as a plain function."""
    if options is not None and not isinstance(options, Mapping):
        raise DBOSException(
            f"the first argument of a step is its options or None, not {type(options).__name__}: "
            'give for example {"name": "charge"}'
        )
    given: dict[str, Any] = dict(options or {})
    name = given.pop("name", None) or getattr(function, "__qualname__", type(function).__name__)
    try:
        return StepSpec(name=name, **given)
    except TypeError as error:
        raise DBOSException(f"step {name}: unknown option ({error})") from None


class StepReservation:
    """A step number of the current workflow, to be used at most once, by the same workflow."""

    def __init__(self, run: WorkflowRun) -> None:
        self._run = run
        self._is_used = False
        self.step_id = run.next_step_id()

    def run(
        self, options: StepOptions | None, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Run a function as the reserved step.

        Raises:
            DBOSException: It was used already, or this is not the body of its workflow.
            RuntimeError: A coroutine function while an event loop runs in this thread; use `run_async` there.
        """
        if inspect.iscoroutinefunction(function):
            refuse_running_loop("run_step")
        _refuse_datasource_step(function)
        self._use()
        spec = spec_of(options, function)
        check_spec(spec, is_async=False)
        return step_sync(
            spec, functools.partial(run_plainly, function, *args, **kwargs), self.step_id
        )

    async def run_async(
        self, options: StepOptions | None, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """As `run`, for coroutine functions."""
        _refuse_datasource_step(function)
        self._use()
        spec = spec_of(options, function)
        check_spec(spec, is_async=True)
        return await step_async(spec, as_coroutine(function, *args, **kwargs), self.step_id)

    def _use(self) -> None:
        if current_run() is not self._run:
            raise DBOSException(
                f"the reservation of step {self.step_id} belongs to the body of workflow {self._run.workflow_id}"
            )
        if self._is_used:
            raise DBOSException(f"the reservation of step {self.step_id} was used already")
        self._is_used = True


def _refuse_datasource_step(function: object) -> None:
    if is_datasource_step(function):
        raise DBOSException(
            "a reserved step can't be a datasource's transaction, which draws its own number: call it directly"
        )


def as_coroutine(
    function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Callable[[], Coroutine[Any, Any, Any]]:
    """A coroutine function without arguments; a plain function runs in a thread."""

    async def call() -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*args, **kwargs)
        return await asyncio.to_thread(function, *args, **kwargs)

    return call


def run_plainly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function; a coroutine function runs on the background loop, and this thread waits for it."""
    if not inspect.iscoroutinefunction(function):
        return function(*args, **kwargs)
    runtime = find_runtime()
    if runtime is None:
        return asyncio.run(function(*args, **kwargs))
    loop = runtime.engine.loop.get()
    return asyncio.run_coroutine_threadsafe(function(*args, **kwargs), loop).result()
