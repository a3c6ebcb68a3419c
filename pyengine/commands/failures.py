"""How a command's failure looks: its exit status, and a reason for people that shows no secret."""

import click
import psycopg

from pyengine.errors import (
    DBOSBaseException,
    DBOSException,
    DBOSInitializationError,
    DBOSNonExistentWorkflowError,
    translate,
)

FAILED = 1
NOT_FOUND = 3
CHECK_FAILED = 4
INTERRUPTED = 130

_NOT_INSTALLED = frozenset(("3F000", "42P01", "42883", "42703"))


class NoSuchError(click.ClickException):
    """What the command was to deal with does not exist."""

    exit_code = NOT_FOUND


def explain(error: Exception) -> str | None:
    """The reason for people; None when the error is a mistake of the program."""
    if isinstance(error, psycopg.Error):
        return _explain_database(error)
    if isinstance(error, DBOSInitializationError):
        return error.detail
    if isinstance(error, (DBOSException, DBOSBaseException)):
        return error.message
    return None


def exit_status(error: Exception) -> int:
    """The exit status for an error that `explain` knows."""
    if isinstance(error, psycopg.Error):
        translated = translate(error)
        if isinstance(translated, DBOSNonExistentWorkflowError):
            return NOT_FOUND
    return NOT_FOUND if isinstance(error, DBOSNonExistentWorkflowError) else FAILED


def _explain_database(error: psycopg.Error) -> str:
    diag = error.diag
    # Only the message: the detail of an error may show values of a row.
    reason = diag.message_primary or str(error).strip() or type(error).__name__
    if diag.sqlstate in _NOT_INSTALLED:
        return (
            f"{reason}; is the engine installed there, in this schema and version? "
            "`pyengine migrate` installs or upgrades it"
        )
    if diag.sqlstate == "42501":
        return f"{reason}; connect as a role that may use the engine (`pyengine migrate --application-role ROLE`)"
    return reason
