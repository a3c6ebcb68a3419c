"""Timers that are far away cost those that look for due ones nothing, however many they are."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.bench.waits import sleepers
from tests.queues.arena import claim, register

Sql = psycopg.Connection[Any]

MANY = 5000

_WORKFLOWS = """
insert into pyengine.workflows (workflow_id, status, name, created_at, updated_at, serialization, inputs, delayed_until,
    deadline_at)
select 'w' || i, %s, 'f', now(), now(), 'json', '{}', now() + interval '1 day', now() + interval '1 day'
from generate_series(1, %s) i
"""


def entries_read(sql: Sql, index: str) -> int:
    """How many entries of an index have been read in all."""
    sql.execute("select pg_stat_force_next_flush()")
    query = "select pg_stat_clear_snapshot(), idx_tup_read from pg_stat_user_indexes where indexrelname = %s"
    row = sql.execute(query, [index]).fetchone()
    assert row is not None
    return int(row[1])


@pytest.mark.parametrize(
    ("index", "look", "nothing"),
    [
        ("workflows_delayed_idx", "select pyengine._promote_delayed()", []),
        ("workflows_deadline_idx", "select pyengine._cancel_overdue(batch_limit => 100)", 0),
    ],
)
def test_looking_for_due_workflows_reads_no_others(
    sql: Sql, index: str, look: str, nothing: object
) -> None:
    sql.execute(_WORKFLOWS, ["DELAYED", MANY])
    sql.execute("analyze pyengine.workflows")
    before = entries_read(sql, index)

    for _ in range(3):
        assert sql.execute(look).fetchone() == (nothing,)

    assert entries_read(sql, index) - before < MANY


def test_claiming_and_waiting_for_work_reads_no_sleepers_that_are_not_due(sql: Sql) -> None:
    sleepers(sql, 1, MANY, delay=86_400, step=0.01)
    sql.execute("analyze pyengine.workflows, pyengine.steps, pyengine.hibernations")
    executor = register(sql)
    before = entries_read(sql, "hibernations_due_idx")

    for _ in range(3):
        assert claim(sql, executor) == []
        sql.execute("select pyengine.await_work(executor_id => %s, channel => 'c')", [executor])
        sql.execute(
            "select * from pyengine.tick_executor(executor_id => %s, heartbeat_seconds => 0)",
            [executor],
        )

    assert entries_read(sql, "hibernations_due_idx") - before < 100
