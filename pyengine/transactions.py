"""The decorator of transactional steps, and what their functions reach through `DBOS`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from pyengine.context import Scope, current_scope, entered
from pyengine.current import get_runtime
from pyengine.decorators import register_as_workflow, registered_workflow
from pyengine.errors import DBOSException
from pyengine.flows.steps import StepStatus
from pyengine.flows.transactions import run_transaction
from pyengine.runs import WorkflowRun
from pyengine.runtime.open_transaction import AnyTransaction, current_transaction
from pyengine.runtime.transactions import Attempt

P = ParamSpec("P")
R = TypeVar("R")
_logger = logging.getLogger("pyengine")

_ISOLATION_LEVELS = ("SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED")


def transaction(
    isolation_level: str = "SERIALIZABLE", *, name: str | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """See `DBOS.transaction`."""
    if callable(isolation_level):
        raise DBOSException("write @DBOS.transaction() with parentheses")
    level = checked_level(isolation_level)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        step_name = name or function.__qualname__
        wrap = _wrap_async if inspect.iscoroutinefunction(function) else _wrap
        wrapper = wrap(step_name, level, function)
        register_as_workflow(wrapper, step_name)
        return cast("Callable[P, R]", wrapper)

    return decorate


def checked_level(isolation_level: object) -> str:
    """An isolation level as SQL says it.

    Raises:
        DBOSException: There is no such level.
    """
    level = str(isolation_level).upper()
    if level not in _ISOLATION_LEVELS:
        raise DBOSException(
            f"isolation_level is {isolation_level!r}: use one of {', '.join(_ISOLATION_LEVELS)}"
        )
    return level


def _wrap(name: str, level: str, function: Callable[..., Any]) -> Callable[..., Any]:
    warned: list[bool] = []

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        runtime = get_runtime(f"transaction {name}")
        _warn_once_in_loop(name, warned)
        run = run_for_transaction(name)
        if run is None:
            workflow, _ = registered_workflow(call, name)
            return runtime.run(runtime.call(runtime.prepare(workflow, args, kwargs)))

        def body(status: StepStatus) -> Any:
            with entered(Scope(run, status)):
                return function(*args, **kwargs)

        step_id = run.next_step_id()
        attempt = Attempt(runtime.transactions, run, name, step_id, level, body)
        return runtime.run(run_transaction(run, name, step_id, attempt.once))

    return call


def _wrap_async(name: str, level: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        runtime = get_runtime(f"transaction {name}")
        run = run_for_transaction(name)
        if run is None:
            workflow, _ = registered_workflow(call, name)
            return await runtime.run_async(runtime.call(runtime.prepare(workflow, args, kwargs)))

        async def body(status: StepStatus) -> Any:
            with entered(Scope(run, status)):
                return await function(*args, **kwargs)

        step_id = run.next_step_id()
        attempt = Attempt(runtime.transactions, run, name, step_id, level, body)
        return await runtime.run_async(run_transaction(run, name, step_id, attempt.once_async))

    return call


def run_for_transaction(name: str, *, is_plain_in_steps: bool = False) -> WorkflowRun | None:
    """The run that a transactional step belongs to; None outside workflows, and if it `is_plain_in_steps` there too.

    Raises:
        AssertionError: Called inside another transaction, or a step.
    """
    scope = current_scope()
    if scope is None and not is_plain_in_steps:
        return None
    if current_transaction() is not None:
        raise AssertionError(
            f"transaction {name} was called inside another transaction: make it a plain function, which then "
            "shares the transaction"
        )
    if scope is None or (scope.step is not None and is_plain_in_steps):
        return None
    if scope.step is not None:
        raise AssertionError(
            f"transaction {name} was called inside a step: call it from the workflow's body"
        )
    return scope.run


def _warn_once_in_loop(name: str, warned: list[bool]) -> None:
    if warned:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    warned.append(True)
    _logger.warning(
        "transaction %s blocks the running event loop: call it with asyncio.to_thread, or make it async def",
        name,
    )


def require_transaction(what: str) -> AnyTransaction:
    """The transaction whose function the calling code belongs to.

    Raises:
        AssertionError: There is none.
    """
    found = current_transaction()
    if found is None:
        raise AssertionError(
            f"{what} is only there inside a function decorated with @DBOS.transaction(), or a datasource's"
        )
    return found
