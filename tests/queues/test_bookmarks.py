"""An executor does not read the front of a queue again and again when nothing there is for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.queues import arena
from tests.queues.arena import Session, claim, enqueue, register, release, request

# Enough for one look to take longer than the few milliseconds after which an executor sets a bookmark.
FOREIGN = 20_000


def fill_with_foreign_work(session: Session, queue_name: str | None) -> None:
    """A backlog at the front that no executor of these tests has the function for."""
    session.execute(
        """insert into pyengine.workflows
           (workflow_id, status, name, queue_name, priority, created_at, updated_at, serialization, inputs)
           select 'foreign-' || i, 'ENQUEUED', 'unknown', %s, 3, now() - interval '1 hour', now(), 'json', '{}'
           from generate_series(1, %s) i""",
        (queue_name, FOREIGN),
    )
    session.execute("vacuum analyze pyengine.workflows")


def rows_read(url: str, executor_id: int, statement: str) -> tuple[list[Any], int]:
    """The rows of a statement, and how many workflows the server looked at for it."""
    counter = (
        "select idx_tup_fetch from pg_stat_xact_user_tables"
        " where schemaname = 'pyengine' and relname = 'workflows'"
    )
    with psycopg.connect(url) as session:
        found = session.execute(statement, {"executor": executor_id}).fetchall()
        ((read,),) = session.execute(counter).fetchall()
    return found, read


CLAIM = """select c.workflow_id from pyengine.claim_workflows(
    executor_id => %(executor)s, lease_token => gen_random_uuid(), claim_limit => 10) c"""
TICK = "select t.claimable from pyengine.tick_executor(executor_id => %(executor)s) t"


@pytest.mark.parametrize("queue_name", ["mixed", None])
def test_work_of_others_at_the_front_is_read_once(
    sql: Session, engine_url: str, queue_name: str | None
) -> None:
    arena.queue(sql, "mixed")
    fill_with_foreign_work(sql, queue_name)
    executor = register(sql)
    _, first = rows_read(engine_url, executor, CLAIM)
    enqueue(sql, request(queue_name, "own", priority=3))

    found, second = rows_read(engine_url, executor, CLAIM)

    assert first >= FOREIGN
    assert found == [("own",)]
    assert second < 100


def test_a_tick_reads_the_work_of_others_once(sql: Session, engine_url: str) -> None:
    fill_with_foreign_work(sql, None)
    executor = register(sql)
    first, _ = rows_read(engine_url, executor, TICK)

    second, read = rows_read(engine_url, executor, TICK)

    assert first == second == [(False,)]
    assert read < 100


def bookmark(session: Session, executor_id: int, workflow_id: str, seconds: float = 60) -> None:
    """Say that an executor has looked up to a workflow."""
    session.execute(
        """insert into pyengine.bookmarks
           select %s, w.queue_name, pyengine.wait_key('work', w.queue_name), w.priority, w.created_at, w.workflow_id,
               now() + make_interval(secs => %s)
           from pyengine.workflows w where w.workflow_id = %s""",
        (executor_id, seconds, workflow_id),
    )


@pytest.fixture
def executor(sql: Session) -> int:
    """An executor that has looked up to the second of three workflows."""
    arena.queue(sql, "q")
    enqueue(sql, *(request("q", name, priority=5) for name in ("first", "second", "third")))
    # A claim that happens to be slow sets a bookmark of its own, a second before it began: behind all three.
    sql.execute("update pyengine.workflows set created_at = created_at - interval '1 minute'")
    executor_id = register(sql)
    bookmark(sql, executor_id, "second")
    return executor_id


def test_what_is_more_urgent_goes_first(sql: Session, executor: int) -> None:
    enqueue(sql, request("q", "urgent", priority=1))

    assert [i for i, _ in claim(sql, executor)] == ["urgent", "third"]


def test_work_that_is_given_back_is_found_in_its_old_place(sql: Session, executor: int) -> None:
    (third,) = claim(sql, executor)
    assert claim(sql, executor) == []

    release(sql, third)

    assert [i for i, _ in claim(sql, executor)] == ["first", "second", "third"]


def test_work_of_a_dead_executor_is_found_in_its_old_place(sql: Session, executor: int) -> None:
    dying = register(sql)
    claim(sql, dying, 1)

    arena.leave(sql, dying)

    assert [i for i, _ in claim(sql, executor, 1)] == ["first"]


def test_resumed_work_is_found_in_its_old_place(sql: Session, executor: int) -> None:
    arena.cancel(sql, "first")

    sql.execute("select pyengine.resume_workflows(array['first'], 'q')")

    assert [i for i, _ in claim(sql, executor, 1)] == ["first"]


def test_delayed_work_is_found_when_it_is_due(sql: Session, executor: int) -> None:
    sql.execute(
        "update pyengine.workflows set status = 'DELAYED', delayed_until = now() where workflow_id = 'first'"
    )

    assert [i for i, _ in claim(sql, executor, 1)] == ["first"]


def test_a_new_function_lets_an_executor_look_from_the_front(sql: Session, executor: int) -> None:
    sql.execute("select pyengine.set_executor_functions(%s, '{f,g}')", (executor,))

    assert [i for i, _ in claim(sql, executor, 1)] == ["first"]


def test_what_was_committed_late_is_found_when_the_bookmark_expires(
    sql: Session, executor: int
) -> None:
    assert [i for i, _ in claim(sql, executor, 1)] == ["third"]

    sql.execute("update pyengine.bookmarks set expires_at = now()")

    assert [i for i, _ in claim(sql, executor)] == ["first", "second"]


PLACE = """insert into pyengine.bookmarks
    values (%s, %s, 0, 5, now(), 'w', now() + interval '1 minute')"""
# Whatever is done takes a millisecond.
SLOW = "clock_timestamp() + interval '1 millisecond' * nextval('pyengine.readings')"


@contextmanager
def clock(session: Session, reading: str) -> Iterator[None]:
    """A transaction with a clock of its own, which is undone."""
    function = f"create or replace function pyengine.now() returns timestamptz language sql as $$ select {reading} $$"
    with session.transaction(force_rollback=True):
        session.execute("create sequence pyengine.readings")
        session.execute(function.encode())
        yield


def tick(session: Session, executor_id: int) -> None:
    session.execute("select pyengine.tick_executor(executor_id => %s)", (executor_id,))


def test_what_was_committed_late_is_found_after_a_tick(sql: Session, executor: int) -> None:
    assert [i for i, _ in claim(sql, executor, 1)] == ["third"]

    sql.execute("update pyengine.bookmarks set expires_at = now() + interval '1 second'")
    tick(sql, executor)

    assert [i for i, _ in claim(sql, executor)] == ["first", "second"]


def test_a_tick_that_finds_nothing_in_front_of_a_bookmark_makes_it_last(
    sql: Session, executor: int
) -> None:
    sql.execute("select pyengine.cancel_workflows(array['first', 'second'])")
    sql.execute("update pyengine.bookmarks set expires_at = now() + interval '1 second'")

    with clock(sql, SLOW):
        tick(sql, executor)

        query = "select expires_at > now() + interval '9 seconds' from pyengine.bookmarks where queue_name = 'q'"
        assert sql.execute(query).fetchall() == [(True,)]


def test_a_tick_does_not_wait_for_a_bookmark(sql: Session, engine_url: str, executor: int) -> None:
    with psycopg.connect(engine_url) as other:
        other.execute("select 1 from pyengine.bookmarks for update")

        sql.execute("set lock_timeout = '1s'")
        tick(sql, executor)
        sql.execute("reset lock_timeout")

    query = "select count(*) from pyengine.bookmarks where queue_name = 'q'"
    assert sql.execute(query).fetchall() == [(1,)]


def test_an_enqueue_that_is_committed_a_little_later_is_not_overlooked(sql: Session) -> None:
    arena.queue(sql, "q")
    executor_id = register(sql)
    enqueue(sql, request("q", "next"))
    set_bookmark = """select pyengine._set_bookmark(
        row(%s, 'q', 0, -1, '-infinity', '', null, null)::pyengine.bookmarks, 'next', false, pyengine.now())"""
    sql.execute(set_bookmark, [executor_id])

    assert [i for i, _ in claim(sql, executor_id)] == ["next"]


@pytest.mark.parametrize(
    "statement",
    [
        "select pyengine.set_latest_application_version('1')",
        "select pyengine.set_executor_functions(%(executor)s, '{f,g}')",
    ],
)
def test_bookmarks_are_removed_in_the_order_of_their_keys(
    sql: Session, engine_url: str, executor: int, statement: str
) -> None:
    """As they lie in the table they would be locked the other way round than by who gives work back."""
    sql.execute("delete from pyengine.bookmarks")
    for queue_name in ("q", "p"):
        sql.execute(PLACE, [executor, queue_name])
    with (
        psycopg.connect(engine_url) as other,
        psycopg.connect(engine_url, autocommit=True) as third,
    ):
        pid = third.info.backend_pid
        other.execute("select 1 from pyengine.bookmarks where queue_name = 'p' for update")
        remover = threading.Thread(
            target=third.execute, args=[statement.encode(), {"executor": executor}]
        )
        remover.start()
        while sql.execute("select pg_blocking_pids(%s) <> '{}'", [pid]).fetchall() != [(True,)]:
            assert remover.is_alive()
        other.execute("select 1 from pyengine.bookmarks where queue_name = 'q' for update nowait")
        other.rollback()
        remover.join(10)

    assert sql.execute("select count(*) from pyengine.bookmarks").fetchall() == [(0,)]


SET = """select pyengine._set_bookmark(row(%s, 'q', 0, 5, now(), 'w', null, null)::pyengine.bookmarks,
    null, true, now())"""
REMOVE = "delete from pyengine.bookmarks where executor_id = %s"


@pytest.mark.parametrize("held_by", [SET, REMOVE], ids=["set", "removed"])
@pytest.mark.parametrize("is_there", [True, False])
def test_nobody_waits_for_a_bookmark_to_set_it(
    sql: Session, engine_url: str, held_by: str, is_there: bool
) -> None:
    """Who holds it may wait for the queue that a claim has locked when it sets its bookmark."""
    executor = register(sql)
    if is_there:
        sql.execute(SET, [executor])
    with psycopg.connect(engine_url) as other:
        other.execute(held_by.encode(), [executor])

        with sql.transaction():
            sql.execute("set local lock_timeout = '1s'")
            sql.execute(SET, [executor])

    ((left,),) = sql.execute("select count(*) from pyengine.bookmarks").fetchall()
    assert left == (0 if is_there and held_by != SET else 1)


def test_a_bookmark_that_was_removed_meanwhile_is_not_set_again(
    sql: Session, executor: int
) -> None:
    """Who removed it gave work back, or found some in front of it, while a claim that began before was looking."""
    ((place,),) = sql.execute("select pyengine._bookmark(%s, 'q')::text", [executor]).fetchall()
    sql.execute(REMOVE, [executor])

    sql.execute(
        "select pyengine._set_bookmark(%s::pyengine.bookmarks, null, true, pyengine.now())", [place]
    )

    assert [i for i, _ in claim(sql, executor)] == ["first", "second", "third"]


def test_who_wants_nothing_has_looked_nowhere(sql: Session, executor: int) -> None:
    """Hibernated workflows that are due may be all that a claim takes."""
    sql.execute(REMOVE, [executor])
    pick = "select pyengine._pick_from_order('q', e, 0) from pyengine.executors e where e.executor_id = %s"
    with clock(sql, SLOW):
        sql.execute(pick, [executor])

        assert sql.execute("select count(*) from pyengine.bookmarks").fetchall() == [(0,)]


def test_delayed_work_alone_is_found_when_it_is_due(sql: Session, executor: int) -> None:
    sql.execute("select pyengine.cancel_workflows(array['second', 'third'])")
    sql.execute(
        "update pyengine.workflows set status = 'DELAYED', delayed_until = now() where workflow_id = 'first'"
    )

    assert [i for i, _ in claim(sql, executor)] == ["first"]


def test_a_tick_lets_a_bookmark_go_whose_front_is_short(sql: Session, executor: int) -> None:
    """A claim that was held up by something else has set it."""
    sql.execute("select pyengine.cancel_workflows(array['first', 'second'])")
    sql.execute("update pyengine.bookmarks set expires_at = now() + interval '1 second'")

    with clock(sql, "pg_catalog.now()"):
        tick(sql, executor)

        query = "select expires_at < now() + interval '2 seconds' from pyengine.bookmarks"
        assert sql.execute(query).fetchall() == [(True,)]


def test_a_tick_that_has_nothing_to_say_about_a_bookmark_writes_nothing(
    sql: Session, executor: int
) -> None:
    sql.execute("select pyengine.cancel_workflows(array['first', 'second'])")
    sql.execute("update pyengine.bookmarks set look_took = interval '1 millisecond'")
    tick(sql, executor)

    with sql.transaction():
        tick(sql, executor)
        assert sql.execute("select pg_current_xact_id_if_assigned()").fetchall() == [(None,)]
