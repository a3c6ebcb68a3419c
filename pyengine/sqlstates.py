"""What the engine does about each error code of PostgreSQL: the one table of retries.

Decisions are made by SQLSTATE, never by the text of a message: that depends on the server's
language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import psycopg

RetryPolicy = Literal["outage", "conflict", "busy", "fatal"]

# A whole code wins over its class; others are fatal. The number is the longest pause between
# two attempts, in seconds.
_RETRIES: Mapping[str, tuple[RetryPolicy, float]] = {
    "08": ("outage", 5.0),
    "25006": ("outage", 5.0),
    "40003": ("outage", 5.0),
    "57P01": ("outage", 5.0),
    "57P02": ("outage", 5.0),
    "57P03": ("outage", 5.0),
    "57P04": ("outage", 5.0),
    "57P05": ("outage", 5.0),
    "53": ("outage", 30.0),
    "40001": ("conflict", 5.0),
    "40P01": ("conflict", 5.0),
    "55P03": ("busy", 5.0),
    "57014": ("busy", 5.0),
}
_MISMATCHES = frozenset({"42501", "42P01", "3F000", "42883"})


def _retry_row(sqlstate: str | None) -> tuple[RetryPolicy, float]:
    if sqlstate is None:
        return _RETRIES["08"]
    return _RETRIES.get(sqlstate) or _RETRIES.get(sqlstate[:2]) or ("fatal", 0.0)


def retry_policy(sqlstate: str | None) -> RetryPolicy:
    """Say what an SQLSTATE asks of the engine.

    Args:
        sqlstate: The five characters; None when the connection was lost without a code.

    Returns:
        "outage": repeat for ever with growing pauses, reconnecting; "conflict": repeat at once, up
        to ten times, then as an outage; "busy": repeat up to five times, then park the workflow;
        "fatal": repeating cannot help.
    """
    return _retry_row(sqlstate)[0]


def retry_cap(sqlstate: str | None) -> float:
    """Give the longest pause between two attempts, in seconds; 0 for a fatal code.

    Args:
        sqlstate: As for `retry_policy`.

    Returns:
        30 for exhausted resources, 5 for everything else that may be repeated.
    """
    return _retry_row(sqlstate)[1]


def is_schema_mismatch(sqlstate: str | None) -> bool:
    """Say whether the code means missing grants or another version of the schema.

    Args:
        sqlstate: As for `retry_policy`.

    Returns:
        True if the process cannot work at all until an operator acts: refuse to start, and park
        workflows rather than fail them.
    """
    return sqlstate in _MISMATCHES


def retry_policy_of(error: psycopg.Error) -> RetryPolicy:
    """Say what an error of the driver asks of the engine.

    A driver error without a code is an outage only if it is about the connection: a mistake in
    calling the driver has no code either and would never heal.

    Args:
        error: What psycopg or its pool raised.

    Returns:
        As `retry_policy`.
    """
    sqlstate = error.diag.sqlstate or error.sqlstate
    connection_lost = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    if sqlstate is None and not connection_lost:
        return "fatal"
    return retry_policy(sqlstate)
