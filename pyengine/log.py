"""The logger `pyengine`, which is `DBOS.logger`: its console format and the ids on its records.

Only this logger is touched. Its console handler is there from the first import, so that a message
before the launch is seen, and is silent where another handler writes the record to the console.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pyengine.settings import Settings

    _TextHandler = logging.StreamHandler[TextIO]
else:
    _TextHandler = logging.StreamHandler  # Python 3.10 can't subscript it

logger = logging.getLogger("pyengine")

_RECORD_FORMAT = "%(asctime)s [%(levelname)8s] (%(name)s:%(filename)s:%(lineno)d) %(message)s"
_ATTRIBUTES = ("workflow_id", "operationUUID", "executorID", "applicationVersion", "traceId")


def _no_context() -> Mapping[str, object]:
    return {}


context_provider: Callable[[], Mapping[str, object]] = _no_context
"""Gives the ids of the moment: `workflow_id`, `executorID`, `applicationVersion`, `traceId`. It is
called for each record, on the thread that logs, and must neither raise nor log."""


class ContextFilter(logging.Filter):
    """Puts the ids of the moment on each record, where a format can name them; "" is none.

    The workflow's id is there twice, as `workflow_id` and as `operationUUID`. An attribute that the
    caller gave with `extra=` stays.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attributes to `record`, which always passes."""
        if all(hasattr(record, name) for name in _ATTRIBUTES):
            return True
        ids = dict(context_provider())
        ids["operationUUID"] = ids.get("workflow_id")
        for name in _ATTRIBUTES:
            if not hasattr(record, name):
                setattr(record, name, ids.get(name) or "")
        return True


class ConsoleHandler(_TextHandler):
    """Writes to whatever `sys.stderr` is at that moment, unless another console handler does."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(logging.Formatter(_RECORD_FORMAT, "%H:%M:%S"))
        self.addFilter(ContextFilter())

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """The standard error stream of this moment."""
        return sys.stderr

    def handle(self, record: logging.LogRecord) -> logging.LogRecord | bool:  # type: ignore[override,unused-ignore]
        """Write the record, unless the reader of the console has it from another handler."""
        return False if _another_console(self, record.levelno) else super().handle(record)


def configure(settings: Settings) -> None:
    """Set the levels of the logger and of its console handler; may be called again.

    Args:
        settings: Gives `log_level`, `console_log_level` and, if logs are exported, their level.
    """
    levels = [settings.log_level, settings.console_log_level]
    if settings.enable_otlp:
        levels.append(settings.otlp_log_level)
    logger.setLevel(min(levels))
    _install().setLevel(settings.console_log_level)


def _install() -> ConsoleHandler:
    if not any(isinstance(known, ContextFilter) for known in logger.filters):
        logger.addFilter(ContextFilter())
    for known in logger.handlers:
        if isinstance(known, ConsoleHandler):
            return known
    handler = ConsoleHandler()
    logger.addHandler(handler)
    return handler


def _another_console(own: logging.Handler, level: int) -> bool:
    current: logging.Logger | None = logger
    while current is not None:
        for handler in current.handlers:
            if handler is not own and level >= handler.level and _writes_to_console(handler):
                return True
        current = current.parent if current.propagate else None
    return False


def _writes_to_console(handler: logging.Handler) -> bool:
    if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
        return False
    return handler.stream in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)


_install()
if logger.level == logging.NOTSET:
    logger.setLevel(logging.INFO)
