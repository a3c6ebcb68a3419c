"""The one launched engine of this process, or the client that is acting, or a clear error."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pyengine.context import current_scope, entered
from pyengine.errors import DBOSException
from pyengine.execution import Runtime
from pyengine.runtime.drivers import FORKED


class _Process:
    runtime: Runtime | None = None
    parent_was_launched: bool = False


_acting: ContextVar[Runtime | None] = ContextVar("pyengine_client", default=None)


@contextmanager
def acting(client: Runtime) -> Iterator[None]:
    """In the block, operations go through a client's connection, and are not part of the workflow around it."""
    token = _acting.set(client)
    try:
        with entered(None):
            yield
    finally:
        _acting.reset(token)


def acting_client() -> Runtime | None:
    """The client whose operation is being carried out, if it is one's."""
    return _acting.get()


def set_runtime(runtime: Runtime | None) -> None:
    """Set or forget the launched engine."""
    _Process.runtime = runtime
    _Process.parent_was_launched = False


def find_runtime() -> Runtime | None:
    """The launched engine, if there is one."""
    return _Process.runtime


def _leave_to_the_parent() -> None:
    """A forked process has launched nothing, whatever its parent has; it may launch an engine of its own."""
    was_launched = _Process.runtime is not None or _Process.parent_was_launched
    _Process.runtime = None
    _Process.parent_was_launched = was_launched


os.register_at_fork(after_in_child=_leave_to_the_parent)


def get_runtime(what: str) -> Runtime:
    """The client that is acting, else the launched engine.

    Args:
        what: Who asks, for the error.

    Raises:
        DBOSException: There is no launched engine.
        DBOSBaseException: The calling run has outlived its engine.
    """
    runtime = _acting.get() or _Process.runtime
    if runtime is None:
        scope = current_scope()
        if scope is not None:
            scope.run.check()
        if _Process.parent_was_launched:
            raise DBOSException(f"{what} was called where DBOS is not launched: {FORKED}")
        raise DBOSException(
            f"{what} was called before DBOS was launched: construct DBOS(config=...) and call DBOS.launch() first"
        )
    return runtime


def refuse_running_loop(function: str) -> None:
    """Refuse a blocking call on the thread of a running event loop.

    Raises:
        RuntimeError: An event loop runs in this thread; names the coroutine to use instead.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    owner = "DBOS" if _acting.get() is None else "DBOSClient"
    raise RuntimeError(
        f"{owner}.{function} blocks, and was called while an event loop is running in this thread: "
        f"await {owner}.{function}_async instead"
    )
