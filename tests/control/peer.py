"""DBOS's row history in the words of pyengine: its documented tables, column by column, for the same checks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import psycopg

from tests.chaos.campaign import wal

TABLES = ("workflow_status", "operation_outputs", "queues")
# What is called otherwise; of what is called the same there is no need to tell.
_NAMES = {
    "workflows": {
        "workflow_id": "workflow_uuid",
        "partition_key": "queue_partition_key",
        "attempt_count": "recovery_attempts",
    },
    "steps": {
        "workflow_id": "workflow_uuid",
        "step_id": "function_id",
        "name": "function_name",
    },
    "queues": {
        "queue_name": "name",
        "limiter_limit": "rate_limit_max",
    },
}
_TIMES = {
    "created_at": "created_at",
    "updated_at": "updated_at",
    "finished_at": "completed_at",
    "started_at": "started_at_epoch_ms",
    "completed_at": "completed_at_epoch_ms",
    "delayed_until": "delay_until_epoch_ms",
}
_TABLES = {"workflow_status": "workflows", "operation_outputs": "steps", "queues": "queues"}
Facts = dict[str, str | None]


class Translator:
    """Reads a DBOS database's history and gives that of pyengine's tables.

    A run is what `recovery_attempts` counts. Steps do not tell of which run they are. Their output does, which is the
    name of the process that made it: the history tells in which run that process got the workflow.
    """

    def __init__(self, columns: dict[str, list[str]]) -> None:
        self._columns = columns
        self._executors: dict[str, int] = {}
        self._runs: dict[tuple[str | None, str], str | None] = {}

    def read(self, source: psycopg.Connection[Any]) -> Iterator[list[wal.Change]]:
        """What was committed since the last call, as `wal.batches` gives it."""
        for batch in wal.batches(source):
            yield [self._translate(change) for change in batch]

    def _translate(self, change: wal.Change) -> wal.Change:
        table = _TABLES[change.table]
        old, new = (
            None if row is None else dict(zip(change.columns, row, strict=True))
            for row in (change.old, change.new)
        )
        columns = self._columns[table]
        return replace(
            change,
            table=table,
            columns=tuple(columns),
            old=None if old is None else self._row(table, columns, old),
            new=None if new is None else self._row(table, columns, new),
        )

    def _row(self, table: str, columns: list[str], facts: Facts) -> wal.Row:
        if table == "workflows":
            told = self._of_workflow(facts)
        elif table == "steps":
            told = self._of_step(facts)
        else:
            told = {"is_paused": "f"}
        names = _NAMES[table]
        for column in columns:
            if column in _TIMES:
                told[column] = _moment(facts.get(_TIMES[column]))
            elif column not in told:
                told[column] = facts.get(names.get(column, column))
        return [told[column] for column in columns]

    def _of_workflow(self, facts: Facts) -> Facts:
        executor, runs = facts["executor_id"], facts["status"] == "PENDING"
        number = None if executor is None else self._number(executor)
        identity = f"{facts['workflow_uuid']} {facts['recovery_attempts']}"
        if runs and executor is not None:
            self._runs.setdefault((facts["workflow_uuid"], executor), facts["recovery_attempts"])
        return {
            "executor_id": str(number) if runs else None,
            "executor_name": executor,
            "lease_token": str(uuid.uuid5(uuid.NAMESPACE_OID, identity)) if runs else None,
            "is_serial": "f",
            "authenticated_roles": None,
            "attributes": None,
            "inputs": "null",
            "output": None,
            "error": None,
        }

    def _of_step(self, facts: Facts) -> Facts:
        executor = json.loads(facts["output"] or "null")
        run = self._runs.get((facts["workflow_uuid"], executor)) if executor else None
        return {"attempt": run, "error": None}

    def _number(self, executor: str) -> int:
        return self._executors.setdefault(executor, len(self._executors) + 1)


def _moment(milliseconds: str | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=timezone.utc).isoformat()
