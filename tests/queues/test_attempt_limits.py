"""How often a workflow may run that was started without a number: what its executor says, else 101 times."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]

CLAIM = "select workflow_id from pyengine.claim_workflows(%s, gen_random_uuid(), 10)"


def register(sql: Connection, attempt_limits: str | None = "{}") -> int:
    row = sql.execute(
        "select pyengine.register_executor(name => 'e', application_name => 'app', application_version => '1',"
        " version_is_pinned => false, functions => '{f,Shop/main/f}', channel => %s, lease_seconds => 60,"
        " attempt_limits => %s)",
        [f"c{uuid.uuid4().hex}", attempt_limits],
    ).fetchone()
    assert row is not None
    return int(row[0])


def claimed(sql: Connection, executor: int) -> list[str]:
    return [workflow_id for (workflow_id,) in sql.execute(CLAIM.encode(), [executor])]


def stored(sql: Connection, workflow_id: str = "w") -> Any:
    return sql.execute(
        "select status, max_attempts from pyengine.workflows where workflow_id = %s", [workflow_id]
    ).fetchone()


def start(sql: Connection, *more: str) -> None:
    arguments = ", ".join(("'f'", "workflow_id => 'w'", *more))
    sql.execute(f"select pyengine.start_workflow({arguments})".encode())


@pytest.mark.parametrize(
    ("limits", "expected"), [('{"f": 3}', 3), ('{"f": null}', None), ("{}", 101), (None, 101)]
)
def test_the_first_claim_decides(sql: Connection, limits: str | None, expected: int | None) -> None:
    start(sql)
    assert stored(sql) == ("ENQUEUED", None)

    assert claimed(sql, register(sql, limits)) == ["w"]

    assert stored(sql) == ("PENDING", expected)


def test_a_method_is_named_by_its_whole_key(sql: Connection) -> None:
    start(sql, "class_name => 'Shop'", "config_name => 'main'")

    claimed(sql, register(sql, '{"f": 2, "Shop/main/f": 9}'))

    assert stored(sql) == ("PENDING", 9)


def test_who_ran_it_as_often_as_it_may_gets_it_no_more(sql: Connection) -> None:
    start(sql)
    sql.execute("update pyengine.workflows set attempt_count = 5")

    assert claimed(sql, register(sql, '{"f": 5}')) == []

    assert stored(sql) == ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", 5)


def test_a_new_list_of_functions_keeps_or_replaces_the_numbers(sql: Connection) -> None:
    executor = register(sql, '{"f": 2}')
    call = "select pyengine.set_executor_functions(executor_id => %s, functions => '{f}'"
    seen = []
    for more in ("", ", attempt_limits => '{\"f\": 8}'"):
        sql.execute(f"{call}{more})".encode(), [executor])
        seen.append(sql.execute("select attempt_limits from pyengine.executors").fetchone() or ())

    assert seen == [({"f": 2},), ({"f": 8},)]


@pytest.mark.parametrize(
    "limits",
    [
        "[]",
        "1",
        "null",
        '"f"',
        '{"f": 0}',
        '{"f": -1}',
        '{"f": 1.5}',
        '{"f": "many"}',
        '{"f": {}}',
        '{"f": 1e9}',
        '{"f": 9999999999}',
        '{"f": true}',
    ],
)
def test_numbers_that_can_not_be_are_refused(sql: Connection, limits: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        register(sql, limits)

    assert caught.value.sqlstate == "PE400"
    assert sql.execute("select count(*) from pyengine.executors").fetchone() == (0,)
