"""Conditions as trees, made of values: what `list_workflows` and `aggregate_workflows` take as `condition`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from pyengine.errors import DBOSInvalidArgumentError

Tree = dict[str, Any]

DURATION = re.compile(
    r"\s*(?:[+-]?\d+(?:\.\d+)?\s*"
    r"(?:(?:microsecond|millisecond|second|sec|minute|min|hour|day|week|month|year)s?|[smhdw])\s*)+"
    r"|\s*\d+:\d\d(?::\d\d(?:\.\d+)?)?\s*",
    re.IGNORECASE,
)
"""A span of time that PostgreSQL reads as an interval: 90 minutes, 1 day 2 hours, 5m, 1:30."""


def any_of(column: str, values: Sequence[str]) -> Tree:
    """The column has one of the values."""
    subject = {"column": column}
    if len(values) == 1:
        return {"op": "=", "args": [subject, {"text": values[0]}]}
    texts = [{"text": value} for value in values]
    return {"op": "in", "args": [subject, *texts]} if texts else {"boolean": False}


def compared(column: str, op: str, at: datetime) -> Tree:
    """A time of the column compared with another."""
    return {"op": op, "args": [{"column": column}, {"time": at.isoformat()}]}


def begins_with(column: str, prefix: str) -> Tree:
    """The text of the column begins with a prefix."""
    pattern = re.sub(r"([\\%_])", r"\\\1", prefix) + "%"
    return {"op": "like", "args": [{"column": column}, {"text": pattern}]}


def within(column: str, span: str) -> Tree:
    """A time of the column is no longer ago than a span.

    Raises:
        DBOSInvalidArgumentError: The span can't be read.
    """
    return {"op": ">", "args": [{"column": column}, _ago(span)]}


def longer_ago(column: str, span: str) -> Tree:
    """A time of the column is longer ago than a span; raises as `within`."""
    return {"op": "<", "args": [{"column": column}, _ago(span)]}


def all_of(conditions: Iterable[Tree]) -> Tree | None:
    """All conditions hold; None when there are none."""
    members = list(conditions)
    if len(members) < 2:
        return members[0] if members else None
    return {"op": "and", "args": members}


def as_json(condition: Tree | None) -> str | None:
    """A condition as the SQL functions take it."""
    return None if condition is None else json.dumps(condition)


def moment(name: str, value: object) -> datetime:
    """A time that a user gave as a datetime or an ISO 8601 text; without a zone it is UTC.

    Raises:
        DBOSInvalidArgumentError: It can't be read; says so of `name`.
    """
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(_iso(value))
    except ValueError:
        raise DBOSInvalidArgumentError(
            f"{name} is {value!r}: give a datetime or an ISO 8601 text such as 2026-01-31T12:00:00Z"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)


def _ago(span: str) -> Tree:
    if not DURATION.fullmatch(span):
        raise DBOSInvalidArgumentError(
            f"{span!r} is not a span of time: write it as 90 minutes, 2h or 1 day"
        )
    return {"op": "-", "args": [{"now": True}, {"interval": span}]}


def _iso(value: object) -> str:
    """Python 3.10 reads +00:00, not Z."""
    text = str(value)
    return f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text
