"""What the tests of management share."""

from __future__ import annotations

from typing import Any

import psycopg

# Everything that belongs to a workflow lies in these.
TABLES = (
    "workflows",
    "steps",
    "messages",
    "message_keys",
    "events",
    "event_history",
    "streams",
)


def counts(sql: psycopg.Connection[Any]) -> dict[str, int]:
    return {
        table: sql.execute(f"select count(*) from pyengine.{table}".encode()).fetchall()[0][0]
        for table in TABLES
    }
