"""The one launched engine of this process, or a clear error."""

from __future__ import annotations

import asyncio

from pyengine.context import current_scope
from pyengine.errors import DBOSException
from pyengine.execution import Runtime


class _Process:
    runtime: Runtime | None = None


def set_runtime(runtime: Runtime | None) -> None:
    """Set or forget the launched engine."""
    _Process.runtime = runtime


def find_runtime() -> Runtime | None:
    """The launched engine, if there is one."""
    return _Process.runtime


def get_runtime(what: str) -> Runtime:
    """The launched engine.

    Args:
        what: Who asks, for the error.

    Raises:
        DBOSException: There is no launched engine.
        DBOSBaseException: The calling run has outlived its engine.
    """
    runtime = _Process.runtime
    if runtime is None:
        scope = current_scope()
        if scope is not None:
            scope.run.check()
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
    raise RuntimeError(
        f"DBOS.{function} blocks, and was called while an event loop is running in this thread: "
        f"await DBOS.{function}_async instead"
    )
