"""Rows of processes that ended go after a day; those that still own something, or may be asked about, stay."""

from __future__ import annotations

from typing import Any

import psycopg

from pyengine import DBOS
from tests.management.test_retention import store
from tests.workflows.support import eventually

Session = psycopg.Connection[Any]


def ended(sql: Session, name: str, age: str, *, is_returned: bool = True) -> int:
    """A process that ended so long ago."""
    row = sql.execute(
        "insert into pyengine.executors (name, application_name, application_version, version_is_pinned, functions, "
        "channel, lease_duration, started_at, heartbeat_at, finished_at, finish_reason, work_is_returned) "
        "values (%s, 'a', '1', false, '{}', 'c', '15 s', now(), now(), now() - %s::interval, 'left', %s) "
        "returning executor_id",
        [name, age, is_returned],
    ).fetchone()
    assert row is not None
    return int(row[0])


def names(sql: Session) -> list[str]:
    return [row[0] for row in sql.execute("select name from pyengine.executors order by name")]


def has_chores(sql: Session) -> bool:
    return sql.execute("select pyengine._has_chores()").fetchall() == [(True,)]


def test_a_day_after_its_end_a_process_is_forgotten(sql: Session) -> None:
    sql.execute("update pyengine.upkeep set history_checked_at = now()")
    ended(sql, "young", "23 hours")
    assert not has_chores(sql)
    ended(sql, "old", "25 hours")
    assert has_chores(sql)

    sql.execute("select pyengine.run_chores()")

    assert names(sql) == ["young"]
    assert not has_chores(sql)


def test_one_whose_work_is_not_given_back_stays(sql: Session) -> None:
    ended(sql, "not looked at", "2 days", is_returned=False)
    owner = ended(sql, "owner", "2 days")
    store(
        sql, "w", "PENDING", executor_id=owner, lease_token="3e0c2f3c-8d3f-4f0e-9a55-0a2f9a1c2b4d"
    )

    sql.execute("select pyengine.run_chores()")

    assert names(sql) == ["not looked at", "owner"]


def test_batches_are_bounded_and_tell_of_more(sql: Session) -> None:
    for number in range(5):
        ended(sql, f"p{number}", f"{30 + number} hours")

    more = "select is_more from pyengine.run_chores(batch_limit => 2)"

    assert sql.execute(more).fetchall() == [(True,)]
    assert names(sql) == ["p0", "p1", "p2"]
    assert sql.execute(more).fetchall() == [(True,)]
    assert sql.execute(more).fetchall() == [(False,)]
    assert names(sql) == []


def test_a_live_process_does_it(dbos: type[DBOS], sql: Session) -> None:
    ended(sql, "old", "25 hours")

    eventually(lambda: "old" not in names(sql))
    assert len(names(sql)) == 1
