"""Limits of a queue that can't be, or contradict each other, are refused in SQL with the name of the argument."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

Session = psycopg.Connection[Any]


def refusal(sql: Session, statement: str) -> str:
    """The message of a bad argument; fails if it is another error, or none."""
    with pytest.raises(psycopg.Error) as caught:
        sql.execute(statement.encode())
    assert caught.value.diag.sqlstate == "PE400", caught.value
    return str(caught.value.diag.message_primary)


def test_a_start_leaves_the_window_when_the_period_is_over_and_not_before(sql: Session) -> None:
    sql.execute(
        "insert into pyengine.queue_starts (queue_name, started_at, start_count) values "
        "('q', '2100-01-01', 1), ('q', '2100-01-01 00:00:00.000001', 2)"
    )
    query = "select pyengine._starts_in_window('q', null, '10 s', last_started_at => %s)"

    assert sql.execute(query, ["2100-01-01 00:00:09.999999"]).fetchone() == (3,)
    assert sql.execute(query, ["2100-01-01 00:00:10"]).fetchone() == (2,)
    assert sql.execute(query, ["2100-01-01 00:00:10.000001"]).fetchone() == (0,)


def test_a_clock_that_goes_back_logs_no_start_before_the_last_one(sql: Session) -> None:
    sql.execute(
        "select from pyengine.register_queue('q', limiter_limit => 1, limiter_period_seconds => 1)"
    )
    sql.execute("update pyengine.queues set last_started_at = '2100-01-01'")

    sql.execute("select pyengine._log_starts(q, '{}', 1) from pyengine.queues q")

    logged = sql.execute("select started_at = '2100-01-01' from pyengine.queue_starts").fetchall()
    assert logged == [(True,)]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("worker_concurrency => 5, concurrency => 2", "worker_concurrency is 5, more than concurrency, which is 2"),
        ("partition_concurrency => 5, concurrency => 2", "partition_concurrency is 5, more than concurrency"),
        ("partition_worker_concurrency => 3, partition_concurrency => 2", "more than partition_concurrency"),
        ("partition_worker_concurrency => 3, worker_concurrency => 2", "more than worker_concurrency"),
        ("partition_worker_concurrency => 3, concurrency => 2", "more than concurrency"),
        ("concurrency => 0", "concurrency is 0: it must be more than 0, or null"),
        ("max_depth => -1", "max_depth is -1"),
        ("limiter_limit => 0, limiter_period_seconds => 1", "limiter_limit is 0"),
        ("limiter_limit => 1", "limiter_limit and limiter_period_seconds belong together"),
        ("partition_limiter_period_seconds => 1", "partition_limiter_limit and partition_limiter_period_seconds"),
        ("limiter_limit => 1, limiter_period_seconds => 'Infinity'", "limiter_period_seconds is Infinity"),
        ("limiter_limit => 1, limiter_period_seconds => 'NaN'", "limiter_period_seconds is NaN"),
        ("polling_interval_seconds => 0", "polling_interval_seconds is 0"),
        ("polling_interval_seconds => null", "polling_interval_seconds is 0"),
    ],
)  # fmt: skip
def test_a_registration_is_refused(sql: Session, limits: str, message: str) -> None:
    assert message in refusal(sql, f"select pyengine.register_queue('q', {limits})")

    assert sql.execute("select * from pyengine.queues").fetchall() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ('{"worker_concurrency": 5}', "worker_concurrency is 5, more than concurrency, which is 4"),
        ('{"limiter_limit": 5}', "limiter_limit and limiter_period_seconds belong together"),
        ('{"concurrency": "many"}', "concurrency must be a whole number"),
        ('{"concurrency": 2.5}', "concurrency must be a whole number"),
        ('{"concurrency": 99999999999}', "concurrency must be a whole number"),
        ('{"polling_interval_seconds": []}', "polling_interval_seconds must be a number"),
        ('{"concurency": 2}', "changes has the key concurency: the limits of a queue are worker_concurrency,"),
        ("[]", "changes must be a json object"),
    ],
)  # fmt: skip
def test_a_change_is_refused(sql: Session, changes: str, message: str) -> None:
    sql.execute("select pyengine.register_queue('q', concurrency => 4)")

    assert message in refusal(sql, f"select pyengine.change_queue('q', '{changes}')")

    assert sql.execute(
        "select concurrency, updated_at = created_at from pyengine.queues"
    ).fetchall() == [(4, True)]


def test_changes_that_fit_are_made(sql: Session) -> None:
    sql.execute("select pyengine.register_queue('q', concurrency => 4, max_depth => 9)")

    sql.execute(
        "select pyengine.change_queue('q', "
        """'{"limiter_limit": 5, "limiter_period_seconds": 0.5, "max_depth": null}')"""
    )

    row = (
        "select concurrency, max_depth, limiter_limit, extract(epoch from limiter_period)::float8 "
        "from pyengine.queues"
    )
    assert sql.execute(row).fetchall() == [(4, None, 5, 0.5)]
