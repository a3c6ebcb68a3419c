"""What a check of `pyengine doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

OK, ADVICE, PROBLEM = "ok", "advice", "problem"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: what was looked at.
        state: ok, advice (it works, and could be better) or problem.
        message: what is there, and what to do.
    """

    check: str
    state: str
    message: str


Connection = psycopg.Connection[Any]


def settings(connection: Connection, *names: str) -> dict[str, str]:
    """Settings of the server by name; None of those it does not have."""
    query = "select name, setting from pg_catalog.pg_settings where name = any (%s)"
    return dict(connection.execute(query, [list(names)]).fetchall())
