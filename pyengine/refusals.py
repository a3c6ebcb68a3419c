"""Refusals of the batch functions as exceptions: an item that was refused has a code, like an error."""

from __future__ import annotations

from pyengine._errorbase import BY_SQLSTATE, Report
from pyengine.errors import DBOSException


def refusal(code: str, message: str, workflow_id: str) -> BaseException:
    """The exception that a refusal stands for."""
    return BY_SQLSTATE.get(code, DBOSException).from_database(
        Report(message, {"workflow_id": workflow_id})
    )
