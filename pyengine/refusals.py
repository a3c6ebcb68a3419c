"""What the database refused: items of batches, which have a code like an error, and the user's statements."""

from __future__ import annotations

import psycopg

from pyengine._errorbase import BY_SQLSTATE, Report
from pyengine.errors import DBOSException


def refusal(code: str, message: str, workflow_id: str) -> BaseException:
    """The exception that a refusal stands for."""
    return BY_SQLSTATE.get(code, DBOSException).from_database(
        Report(message, {"workflow_id": workflow_id})
    )


def database_error(error: BaseException) -> psycopg.Error | None:
    """The driver's error behind an error: itself, what SQLAlchemy wrapped, or what it was raised from."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        for each in (cause, getattr(cause, "orig", None)):
            if isinstance(each, psycopg.Error):
                return each
        cause = cause.__cause__ or cause.__context__
    return None


def is_step_conflict(error: BaseException) -> bool:
    """Say whether the error is that the step has an outcome already."""
    if not isinstance(error, psycopg.errors.UniqueViolation):
        return False
    return error.diag.constraint_name in ("steps_pkey", "transaction_checkpoints_pkey")
