"""The calls that every workflow makes reach every row through an index, whatever the tables hold.

auto_explain comes with the server, not with Python: where it is missing the tests are skipped and say so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.queues.arena import queue, register, request

Connection = psycopg.Connection[Any]

# From this cost on a plan is compiled, which takes longer than these calls do: jit_above_cost is 100000 by default.
_DEAR = 10_000
_COST = re.compile(r"\(cost=[\d.]+\.\.([\d.]+) ")
_LEASE = "7d0f6f0e-2d0c-4c0b-9a8e-1f5b7c3a2e10"


@pytest.fixture
def costs(sql: Connection) -> Iterator[list[float]]:
    """The costs of the plans of each statement that runs, also inside of functions."""
    try:
        sql.execute("load 'auto_explain'")
    except psycopg.errors.UndefinedFile:
        pytest.skip("auto_explain is not installed: it is in the contrib modules of PostgreSQL")
    found: list[float] = []
    sql.add_notice_handler(
        lambda notice: found.extend(map(float, _COST.findall(notice.message_primary or "")))
    )
    for setting in (
        "client_min_messages = log",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_nested_statements = on",
    ):
        sql.execute(f"set {setting}".encode())
    yield found
    sql.execute("reset all")


def call(sql: Connection, statement: str, *documents: dict[str, Any]) -> None:
    sql.execute(statement.encode(), [json.dumps(document) for document in documents])


@pytest.mark.parametrize("is_analyzed", [False, True], ids=["new", "analyzed while empty"])
def test_no_plan_of_a_workflow_s_calls_is_dear(
    sql: Connection, costs: list[float], is_analyzed: bool
) -> None:
    if is_analyzed:
        sql.execute("vacuum analyze")
    queue(sql, "q")
    executor = register(sql)
    lease = {"workflow_id": "w", "lease_token": _LEASE, "serialization": "json", "output": 1}
    step = {**lease, "step_id": 1, "name": "s", "elapsed_ms": 1}

    call(
        sql,
        f"select * from pyengine.start_workflows(%s, {executor})",
        request(None, "w", lease_token=_LEASE),
    )
    call(sql, "select * from pyengine.record_steps(%s)", step)
    sql.execute(
        "select pyengine.record_step_in_transaction('w', %s, 2, 's', 'json', '1')", [_LEASE]
    )
    call(sql, "select * from pyengine.finish_workflows(%s)", lease)
    call(sql, "select * from pyengine.start_workflows(%s)", request("q", "x"))

    assert len(costs) > 20
    assert max(costs) < _DEAR
