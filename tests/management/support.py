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


def insert(sql: psycopg.Connection[Any], workflow_id: str, **columns: object) -> None:
    """A row of workflows as it is, past the functions of the engine."""
    values: dict[str, object] = {
        "workflow_id": workflow_id,
        "name": "f",
        "created_at": "now",
        "updated_at": "now",
        "serialization": "json",
        "inputs": "{}",
        **columns,
    }
    sql.execute(
        f"insert into pyengine.workflows ({', '.join(values)}) values ({', '.join(['%s'] * len(values))})".encode(),
        list(values.values()),
    )
