"""Retention: old workflows vanish whole, in batches, and nothing else does."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.error import DBOSException
from tests.management.support import counts
from tests.workflows.support import eventually

Session = psycopg.Connection[Any]


@DBOS.workflow()
def leaves_much() -> str:
    DBOS.set_event("e", 1)
    DBOS.write_stream("s", 1)
    return DBOS.run_step({"name": "step"}, lambda: "done")


def store(sql: Session, workflow_id: str, status: str, age: str = "0", **columns: object) -> None:
    """A workflow that ended so long ago, or did not."""
    is_over = status not in {"ENQUEUED", "DELAYED", "PENDING"}
    names = ["workflow_id", "status", *columns]
    values = [workflow_id, status, *columns.values()]
    sql.execute(
        f"insert into pyengine.workflows ({', '.join(names)}, name, created_at, updated_at, finished_at, "
        f"serialization, inputs) values ({', '.join(['%s'] * len(names))}, 'f', now() - %s::interval, now(), "
        "case when %s then now() - %s::interval end, 'json', '{}')".encode(),
        [*values, age, is_over, age],
    )


def prune(sql: Session, batch_limit: int = 1000) -> int:
    """Do chores until there are none left; how many workflows were removed."""
    removed = 0
    while True:
        row = sql.execute(
            "select pruned_workflows, is_more from pyengine.run_chores(batch_limit => %s)",
            [batch_limit],
        ).fetchall()[0]
        removed += int(row[0])
        if not row[1]:
            return removed


def ids(sql: Session) -> list[str]:
    return [row[0] for row in sql.execute("select workflow_id from pyengine.workflows order by 1")]


def policy(sql: Session, **limits: object) -> None:
    named = "".join(f", {name} => %s" for name in limits)
    sql.execute(
        f"select pyengine.set_retention(application_name => null{named})".encode(),
        list(limits.values()),
    )


def test_each_end_has_its_own_age(sql: Session) -> None:
    for status in ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
        for days in (1, 3, 5):
            store(sql, f"{status}-{days}", status, f"{days} days")

    policy(sql, success_age="2 days", error_age="4 days", dead_letter_age="0")

    assert prune(sql) == 6
    assert ids(sql) == [
        "CANCELLED-1", "CANCELLED-3", "CANCELLED-5", "ERROR-1", "ERROR-3", "SUCCESS-1",
    ]  # fmt: skip


def test_what_has_not_ended_stays_however_old(sql: Session) -> None:
    store(sql, "queued", "ENQUEUED", "9 years")
    store(sql, "delayed", "DELAYED", "9 years", delayed_until="infinity")
    policy(sql, success_age="0", error_age="0", cancelled_age="0", keep_newest=0)

    assert prune(sql) == 0
    assert ids(sql) == ["delayed", "queued"]


_JUDGED_LATER = """
    create or replace function pyengine._is_expired(policy pyengine.retention_policies, status text,
        application_name text, created_at timestamptz, finished_at timestamptz, at timestamptz)
    returns boolean language sql volatile as 'select true from pg_advisory_xact_lock(42)'
"""


def test_what_begins_again_while_it_is_judged_stays(sql: Session, engine_url: str) -> None:
    store(sql, "w", "CANCELLED", "9 days")
    policy(sql, cancelled_age="1 day")
    sql.execute("select pg_advisory_lock(42)")
    with (
        psycopg.connect(engine_url, options="-c lock_timeout=20s") as pruner,
        ThreadPoolExecutor(1) as threads,
    ):
        pruner.execute(_JUDGED_LATER)  # for this transaction, which is rolled back
        query = "select pyengine._prune_workflows(r, 100) from pyengine.retention_policies r"
        pruned = threads.submit(lambda: pruner.execute(query.encode()).fetchall())
        waits = "select count(*) = 1 from pg_locks where locktype = 'advisory' and not granted"
        eventually(lambda: sql.execute(waits).fetchall() == [(True,)])
        sql.execute("select pyengine.resume_workflow('w')")
        sql.execute("select pg_advisory_unlock(42)")

        assert pruned.result() == [(0,)]
        pruner.rollback()

    assert ids(sql) == ["w"]


def test_what_somebody_has_locked_is_left_for_another_round(sql: Session, engine_url: str) -> None:
    for workflow_id in ("locked", "free"):
        store(sql, workflow_id, "SUCCESS", "9 days")
    policy(sql, success_age="1 day")
    sql.execute("set lock_timeout = '5s'")
    with psycopg.connect(engine_url) as stranger:
        stranger.execute("select from pyengine.workflows where workflow_id = 'locked' for update")
        assert prune(sql) == 1
        assert ids(sql) == ["locked"]
    sql.execute("reset lock_timeout")


def test_chores_that_somebody_does_are_not_done_twice(sql: Session, engine_url: str) -> None:
    store(sql, "w", "SUCCESS", "9 days")
    policy(sql, success_age="1 day")
    sql.execute("set lock_timeout = '5s'")
    with psycopg.connect(engine_url) as other:
        other.execute("select from pyengine.run_chores()")
        assert prune(sql) == 0
    sql.execute("reset lock_timeout")


def test_the_newest_are_kept(sql: Session) -> None:
    for number in range(10):
        store(sql, f"w{number}", "SUCCESS", f"{number} hours")

    policy(sql, keep_newest=3)

    assert prune(sql) == 7
    assert ids(sql) == ["w0", "w1", "w2"]


def test_a_policy_is_about_one_application(sql: Session) -> None:
    store(sql, "mine", "SUCCESS", "9 days", application_name="a")
    store(sql, "others", "SUCCESS", "9 days", application_name="b")
    store(sql, "nobodys", "SUCCESS", "9 days")

    sql.execute("select pyengine.set_retention(application_name => 'a', success_age => '1 day')")

    assert prune(sql) == 1
    assert ids(sql) == ["nobodys", "others"]


def test_a_child_is_kept_as_long_as_its_parent(sql: Session) -> None:
    """The parent may ask for its result again."""
    store(sql, "parent", "ENQUEUED", "9 days")
    store(sql, "child", "SUCCESS", "8 days", parent_workflow_id="parent")
    store(sql, "orphan", "SUCCESS", "8 days", parent_workflow_id="long gone")
    store(sql, "old-parent", "SUCCESS", "7 days")
    store(sql, "old-child", "SUCCESS", "6 days", parent_workflow_id="old-parent")

    policy(sql, success_age="1 day")

    assert prune(sql) == 3
    assert ids(sql) == ["child", "parent"]


def test_a_batch_is_bounded_and_the_next_one_goes_on(sql: Session) -> None:
    for number in range(25):
        store(sql, f"w{number:02}", "SUCCESS" if number % 2 else "ERROR", "9 days")
    policy(sql, success_age="1 day")

    first = sql.execute("select * from pyengine.run_chores(batch_limit => 10)").fetchall()

    assert first == [(0, 5, None, True)]
    assert prune(sql, 10) == 7
    assert len(ids(sql)) == 13


def test_a_workflow_that_somebody_holds_stays_for_the_next_round(
    sql: Session, engine_url: str
) -> None:
    store(sql, "held", "SUCCESS", "9 days")
    store(sql, "free", "SUCCESS", "9 days")
    policy(sql, success_age="1 day")

    with psycopg.connect(engine_url) as holder:
        holder.execute("select 1 from pyengine.workflows where workflow_id = 'held' for update")
        assert prune(sql) == 1

    sql.execute("update pyengine.retention_policies set next_at = now()")
    assert prune(sql) == 1


def test_only_one_process_does_the_upkeep(sql: Session, engine_url: str) -> None:
    store(sql, "old", "SUCCESS", "9 days")
    policy(sql, success_age="1 day")

    with psycopg.connect(engine_url) as other:
        other.execute("select 1 from pyengine.upkeep for update")
        assert sql.execute("select * from pyengine.run_chores()").fetchall() == [
            (0, 0, None, False)
        ]

    assert prune(sql) == 1


def test_the_engine_does_it_by_itself_and_leaves_nothing(dbos: type[DBOS], sql: Session) -> None:
    with SetWorkflowID("w"):
        leaves_much()
    DBOS.send("w", "unread", idempotency_key="k")
    assert 0 not in counts(sql).values()

    DBOS.set_retention(success=0)

    eventually(lambda: set(counts(sql).values()) == {0})
    with SetWorkflowID("w"):
        assert leaves_much() == "done"


def test_a_policy_is_read_changed_and_removed(dbos: type[DBOS]) -> None:
    assert DBOS.get_retention() is None

    DBOS.set_retention(success=timedelta(days=30), error=3600.5, keep_newest=10)
    found = DBOS.get_retention()
    assert found is not None
    assert (found.success, found.error) == (timedelta(days=30), timedelta(seconds=3600.5))
    assert (found.cancelled, found.keep_newest) == (None, 10)

    asyncio.run(DBOS.set_retention_async())
    assert asyncio.run(DBOS.get_retention_async()) is None


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"success": -1}, "success is -1"),
        ({"error": timedelta(-1)}, "error is -1 day"),
        ({"keep_newest": -1}, "keep_newest is -1"),
        ({"cancelled": float("inf")}, "cancelled is inf"),
    ],
)
def test_limits_that_can_not_be_are_refused(
    dbos: type[DBOS], limits: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DBOSException, match=complaint):
        DBOS.set_retention(**limits)


def test_a_large_history_without_a_policy_is_told_of_once_a_day(
    dbos: type[DBOS], sql: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The size is the planner's estimate, which costs nothing to read."""
    store(sql, "one", "SUCCESS")
    sql.execute("analyze pyengine.workflows")
    sql.execute("update pg_class set reltuples = 2e6 where oid = 'pyengine.workflows'::regclass")

    with caplog.at_level(logging.WARNING, logger="pyengine"):
        sql.execute("update pyengine.upkeep set history_checked_at = now() - interval '25 hours'")
        eventually(lambda: "no retention policy" in caplog.text)

    sql.execute("update pyengine.upkeep set history_checked_at = now() - interval '23 hours'")
    assert sql.execute("select * from pyengine.run_chores()").fetchall() == [(0, 0, None, False)]
    sql.execute("update pyengine.upkeep set history_checked_at = '-infinity'")
    sql.execute("select pyengine.set_retention(application_name => 'a', keep_newest => 5)")
    row = sql.execute("select unlimited_history from pyengine.run_chores()").fetchall()
    assert row == [(None,)]
    sql.execute("analyze pyengine.workflows")


def reads(sql: Session) -> dict[str, tuple[int, int]]:
    """What this session has read of each table and not reported yet: rows in sequence, rows by an index."""
    found = sql.execute(
        "select relname, seq_tup_read, coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables "
        "where schemaname = 'pyengine'"
    ).fetchall()
    return {name: (in_sequence, by_index) for name, in_sequence, by_index in found}


def test_what_a_batch_reads_does_not_grow_with_the_history(sql: Session) -> None:
    sql.execute(
        "insert into pyengine.workflows (workflow_id, status, name, created_at, updated_at, finished_at, "
        "serialization, inputs, parent_workflow_id) "
        "select 'w' || i, 'SUCCESS', 'f', t, t, t, 'json', '{}', case when i % 2 = 0 then 'w' || i - 1 end "
        "from generate_series(1, 20000) i, lateral (select now() - interval '9 days' + i * interval '1 s') a (t)"
    )
    sql.execute(
        "insert into pyengine.steps (workflow_id, step_id, name, attempt, started_at, completed_at, serialization) "
        "select 'w' || i, 1, 's', 1, now(), now(), 'json' from generate_series(1, 20000) i"
    )
    sql.execute("analyze pyengine.workflows, pyengine.steps")
    policy(sql, success_age="1 day", keep_newest=15_000)
    batch = "select pyengine.run_chores(batch_limit => 50)"
    sql.execute(batch)  # a round begins with a count of those to keep

    with sql.transaction():
        before = reads(sql)
        sql.execute(batch)
        after = reads(sql)

    assert len(ids(sql)) == 19_900
    for table in ("workflows", "steps", "messages", "message_keys", "events", "streams"):
        in_sequence, by_index = (
            now - then for now, then in zip(after[table], before[table], strict=True)
        )
        assert in_sequence == 0, table
        assert by_index <= 50 * 8, table
