"""The part of `DBOS` that takes a handler of alerts."""

from __future__ import annotations

from collections.abc import Callable

from pyengine.current import find_runtime
from pyengine.errors import DBOSException

AlertHandler = Callable[[str, str, dict[str, str]], None]


class _Process:
    handler: AlertHandler | None = None


class Alerts:
    """Handling alerts."""

    @classmethod
    def alert_handler(cls, func: AlertHandler) -> AlertHandler:
        """Decorate the function for alerts, `func(name, message, metadata)`; before launch, and only one.

        Alerts come from DBOS Conductor. pyengine has none, so the function is kept and not called: watch what
        `pyengine metrics` shows instead.

        Raises:
            DBOSException: DBOS is launched, or there is a handler already.
        """
        if find_runtime() is not None:
            raise DBOSException(
                "DBOS.alert_handler was used after DBOS.launch: decorate the function before"
            )
        if _Process.handler is not None and _Process.handler is not func:
            raise DBOSException(
                "DBOS.alert_handler was used twice: there can be only one handler of alerts"
            )
        _Process.handler = func
        return func


def forget() -> None:
    """Forget the handler."""
    _Process.handler = None
