"""Limits hold at every commit, by the database's own history."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.queues import arena, history
from tests.queues.arena import Arena, Session, claim, enqueue, finish, register, request

# Under snapshots that are older than the claim what could be seen says nothing about the order.
_ORDER = "I-19/I-20 order"


@pytest.mark.race
@pytest.mark.parametrize(
    "isolation", ["read committed", "repeatable read", "serializable", "mixed"]
)
def test_all_limits_hold_at_every_commit(
    recorded: Session, recording_url: str, isolation: str
) -> None:
    played = Arena(recording_url, seed=1, isolation=isolation)

    played.run(800 if isolation == "read committed" else 250)

    found = history.violations(recorded)
    if isolation != "read committed":
        found.pop(_ORDER, None)
    assert found == {}
    assert history.claim_count(recorded) + played.hibernations >= played.claims
    assert len(played.seen) > 0
    assert (played.hibernations > 0) == (isolation in ("read committed", "mixed"))


def test_a_claim_in_an_old_snapshot_never_counts_without_what_was_claimed_since(
    recorded: Session, recording_url: str
) -> None:
    arena.queue(recorded, "q", concurrency=1)
    executor, other = register(recorded), register(recorded, function="g")
    enqueue(recorded, *(request("q", name=name) for name in "fg" for _ in range(40)))
    for _ in range(30):  # what is slow at first updates the queue for another reason
        finish(recorded, *claim(recorded, executor, 1))
    options = "-c default_transaction_isolation=repeatable\\ read"
    with psycopg.connect(recording_url, options=options) as old:

        def claim_late() -> str:
            """A claim in a snapshot from before one under read committed, which takes other work."""
            old.execute("select 1 from pyengine.queues")
            (lease,) = claim(recorded, executor, 1)
            try:
                claimed = "some" if claim(old, other, 1) else "none"
                old.commit()
            except psycopg.errors.SerializationFailure:
                claimed = "to be repeated"
                old.rollback()
            finish(recorded, lease)
            return claimed

        late = [claim_late() for _ in range(4)]
        at_once = claim(old, other, 1)

    # It takes nothing before it is known that there are such claims; from then on it fails.
    assert set(late) <= {"none", "to be repeated"}
    assert late[-2:] == ["to be repeated", "to be repeated"]
    assert len(at_once) == 1


@pytest.fixture
def moving_mark(recorded: Session) -> Iterator[None]:
    """Each claim notes the first that still runs, however quickly that is counted."""
    query = "select pg_get_functiondef('pyengine._queue_room'::regproc)"
    ((made,),) = recorded.execute(query).fetchall()
    moving = made.replace("'0.3 milliseconds'", "'-1 second'")
    assert moving != made
    recorded.execute(moving.encode())
    yield
    recorded.execute(made.encode())


@pytest.mark.race
@pytest.mark.usefixtures("moving_mark")
def test_all_limits_hold_while_what_is_over_is_left_out_of_the_count(
    recorded: Session, recording_url: str
) -> None:
    played = Arena(recording_url, seed=2)

    played.run(800)

    assert history.violations(recorded) == {}
    marks = "select queue_name from pyengine.queues where counted_from > 0 order by 1"
    assert {"both", "global", "worker"} <= {name for (name,) in recorded.execute(marks)}


@pytest.mark.usefixtures("moving_mark")
def test_what_was_claimed_without_a_limit_is_counted_when_there_is_one(recorded: Session) -> None:
    arena.queue(recorded, "q")
    executor = register(recorded)
    enqueue(recorded, *(request("q", name) for name in ("first", "second", "third", "fourth")))
    assert [i for i, _ in claim(recorded, executor, 1)] == ["first"]
    arena.queue(recorded, "q", concurrency=2)

    (second,) = claim(recorded, executor, 1)
    finish(recorded, second)
    (third,) = claim(recorded, executor, 1)

    assert claim(recorded, executor, 1) == []
    query = "select workflow_id, claim_number is null from pyengine.workflows where status = 'PENDING' order by 1"
    assert recorded.execute(query).fetchall() == [("first", True), ("third", False)]
    assert third[0] == "third"


@pytest.mark.usefixtures("moving_mark")
def test_what_runs_of_a_queue_that_was_deleted_is_counted_with_what_its_successor_starts(
    recorded: Session,
) -> None:
    arena.queue(recorded, "q", concurrency=3)
    executor = register(recorded)
    enqueue(recorded, *(request("q", f"of the first {number}") for number in range(5)))
    for _ in range(4):
        finish(recorded, *claim(recorded, executor, 1))
    claim(recorded, executor, 1)
    arena.call(recorded, "select pyengine.delete_queue('q')")
    arena.queue(recorded, "q", concurrency=3)
    enqueue(recorded, *(request("q", f"of the second {number}") for number in range(5)))

    claimed = [claim(recorded, executor, 1) for _ in range(5)]

    assert [len(leases) for leases in claimed] == [1, 1, 0, 0, 0]


@pytest.mark.slow
@pytest.mark.race
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_all_limits_hold_over_many_claims(
    recorded: Session, recording_url: str, isolation: str
) -> None:
    claims = int(os.environ.get("PYENGINE_TEST_CLAIMS", "5000"))
    played = Arena(recording_url, seed=claims, isolation=isolation)

    played.run(claims, timeout=3600)

    found = history.violations(recorded)
    if isolation != "read committed":
        found.pop(_ORDER, None)
    assert found == {}
    assert played.deaths > 0
    print(f"{isolation}: {history.claim_count(recorded)} claims, {played.deaths} deaths")


def test_a_claim_may_pass_over_what_another_transaction_holds(
    recorded: Session, recording_url: str
) -> None:
    arena.queue(recorded, "q", concurrency=9)
    enqueue(recorded, request("q", "first"))
    enqueue(recorded, request("q", "second"))
    executor, seen = register(recorded), dict[str, str]()
    with psycopg.connect(recording_url) as other:
        arena.cancel(other, "first")
        ((claimed, _),) = claim(recorded, executor, seen=seen)
    recorded.cursor().executemany("insert into audit.claims values (%s, %s)", list(seen.items()))

    assert claimed == "second"
    assert history.violations(recorded) == {}


# What a broken engine would do, and the checks that must find it.
_PLANTED = {
    "I-17 concurrency": "update pyengine.workflows set status = 'PENDING', lease_token = gen_random_uuid(), "
    "executor_id = 1 where queue_name = 'global'",
    "I-17 worker concurrency": "update pyengine.workflows set status = 'PENDING', "
    "lease_token = gen_random_uuid(), executor_id = 1 where queue_name = 'worker'",
    "I-17 partition concurrency": "update pyengine.workflows set status = 'PENDING', "
    "lease_token = gen_random_uuid(), executor_id = 1 where queue_name = 'keyed'",
    "I-17 partition worker concurrency": "update pyengine.workflows set status = 'PENDING', "
    "lease_token = gen_random_uuid(), executor_id = 1 where queue_name = 'keyed worker'",
    "I-17 serial keys": "update pyengine.workflows set status = 'PENDING', "
    "lease_token = gen_random_uuid(), executor_id = 1 where queue_name = 'free' and is_serial",
    "I-18 rate": "insert into pyengine.queue_starts values ('rate', null, clock_timestamp(), 61)",
    "I-18 partition rate": "insert into pyengine.queue_starts values ('keyed rate', 'a', clock_timestamp(), 6)",
    "I-18 every start is logged": "update pyengine.workflows set status = 'PENDING', "
    "lease_token = gen_random_uuid(), executor_id = 1 where queue_name = 'rate'",
    "I-18 no start is given back": "with s as (insert into pyengine.queue_starts "
    "values ('rate', null, clock_timestamp(), 1)) select; delete from pyengine.queue_starts",
    _ORDER: "with claimed as (update pyengine.workflows set status = 'PENDING', lease_token = gen_random_uuid(), "
    "executor_id = 1 where workflow_id = 'last' returning lease_token) "
    "insert into audit.claims select lease_token, pg_current_snapshot() from claimed",
    "I-22 one claim at a time": "update pyengine.workflows set status = 'PENDING', lease_token = gen_random_uuid(), "
    "executor_id = 1 where workflow_id = 'last'; "
    "update pyengine.workflows set lease_token = gen_random_uuid() where workflow_id = 'last'",
    "I-23 one holder of a deduplication id": "update pyengine.workflows set status = 'SUCCESS', "
    "finished_at = now() where workflow_id = 'held'",
    "I-24 not before its time": "update pyengine.workflows set status = 'ENQUEUED' where status = 'DELAYED'",
    "I-25 versions": "update pyengine.workflows set status = 'PENDING', lease_token = gen_random_uuid(), "
    "executor_id = 1 where workflow_id = 'other version'",
    "I-26 depth": "insert into pyengine.workflows (workflow_id, status, name, queue_name, created_at, updated_at, "
    "serialization, inputs) select 'deep ' || i, 'ENQUEUED', 'f', 'shallow', now(), now(), 'json', '{}' "
    "from generate_series(1, 41) i",
}


def test_every_check_has_a_planted_violation() -> None:
    assert set(_PLANTED) == set(history.CHECKS)


@pytest.mark.parametrize("check", list(_PLANTED))
def test_each_check_finds_its_planted_violation(recorded: Session, check: str) -> None:
    assert register(recorded) == 1
    for name, limits in arena.QUEUES.items():
        arena.queue(recorded, name, **limits)
        enqueue(recorded, *(request(name, partition_key="k", is_serial=True) for _ in range(9)))
    enqueue(recorded, *(request("rate") for _ in range(3)))
    enqueue(recorded, request("free", "held", deduplication_id="d"))
    enqueue(recorded, request("free", "late", delay_ms=3_600_000))
    enqueue(
        recorded, request("free", "other version", version_is_pinned=True, application_version="2")
    )
    enqueue(recorded, request("free", "last"))
    assert history.violations(recorded) == {}

    recorded.execute(_PLANTED[check])

    assert check in history.violations(recorded)


class Interleaving:
    """Two sessions in transactions of their own, on a queue of one place."""

    def __init__(self, url: str, watch: Session) -> None:
        self.watch = watch
        self.first = psycopg.connect(url)
        self.second = psycopg.connect(url)
        self.one = register(watch, "1")
        self.two = register(watch, "2")
        self._threads = ThreadPoolExecutor(1)

    def behind(self, work: Callable[[], Any]) -> Future[Any]:
        """Begin something on the second session and wait until a lock holds it up."""
        future = self._threads.submit(work)
        query = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
        waiting = threading.Event()
        for _ in range(2000):
            if self.watch.execute(query, [self.second.info.backend_pid]).fetchone() == (True,):
                return future
            assert not future.done(), f"nothing held it up: {future.result()}"
            waiting.wait(0.005)
        raise AssertionError("nothing held it up")

    def claim_twice(self, between: Callable[[], object], queue_name: str = "one") -> list[str]:
        """Two claims of which the second begins before the first commits; what both claimed."""
        first = claim(self.first, self.one, queues=[queue_name])
        between()
        second = self.behind(lambda: claim(self.second, self.two, queues=[queue_name]))
        self.first.commit()
        claimed = [*first, *second.result(10)]
        self.second.commit()
        return [workflow_id for workflow_id, _ in claimed]

    def close(self) -> None:
        self._threads.shutdown()
        self.first.close()
        self.second.close()


@pytest.fixture
def meeting(engine_url: str, sql: Session) -> Iterator[Interleaving]:
    arena.queue(sql, "one", concurrency=1)
    made = Interleaving(engine_url, sql)
    yield made
    made.close()


@contextmanager
def _other_session(url: str) -> Iterator[Session]:
    with psycopg.connect(url) as session:
        yield session


def test_a_higher_priority_that_arrives_during_a_claim_gets_no_second_place(
    meeting: Interleaving,
) -> None:
    enqueue(meeting.watch, request("one", "ordinary", priority=5))

    claimed = meeting.claim_twice(
        lambda: enqueue(meeting.watch, request("one", "urgent", priority=1))
    )

    assert claimed == ["ordinary"]


def test_two_claims_of_one_place_get_one_workflow(meeting: Interleaving) -> None:
    enqueue(meeting.watch, request("one", "a"), request("one", "b"))

    assert meeting.claim_twice(lambda: None) == ["a"]


def test_an_older_workflow_that_commits_during_a_claim_gets_no_second_place(
    meeting: Interleaving, engine_url: str
) -> None:
    with _other_session(engine_url) as late:
        enqueue(late, request("one", "older"))
        enqueue(meeting.watch, request("one", "younger"))

        claimed = meeting.claim_twice(late.commit)

    assert claimed == ["younger"]


def test_two_versions_on_one_queue_share_its_places(meeting: Interleaving) -> None:
    for version in "12":
        enqueue(
            meeting.watch,
            request("one", version, version_is_pinned=True, application_version=version),
        )

    assert meeting.claim_twice(lambda: None) == ["1"]


def test_a_higher_priority_that_arrives_during_a_claim_gets_no_second_start(
    meeting: Interleaving,
) -> None:
    arena.queue(meeting.watch, "rated", limiter_limit=1, limiter_period_seconds=60)
    enqueue(meeting.watch, request("rated", "ordinary", priority=5))

    claimed = meeting.claim_twice(
        lambda: enqueue(meeting.watch, request("rated", "urgent", priority=1)) and None, "rated"
    )

    assert claimed == ["ordinary"]


def test_a_queue_that_gets_work_while_a_claim_waits_for_another_queue_is_not_claimed_unlocked(
    meeting: Interleaving,
) -> None:
    arena.queue(meeting.watch, "a busy one", concurrency=1)
    enqueue(meeting.watch, request("a busy one", "first"))
    claim(meeting.first, meeting.one, queues=["a busy one"])
    behind = meeting.behind(lambda: claim(meeting.second, meeting.two))
    enqueue(meeting.watch, request("one", "x"), request("one", "y"))
    with psycopg.connect(meeting.watch.info.dsn) as third:
        held = claim(third, meeting.one, queues=["one"])

        meeting.first.commit()

        assert [*held, *behind.result(10)] == held
        assert [workflow_id for workflow_id, _ in held] == ["x"]


def test_a_limit_that_is_set_while_a_claim_waits_holds_for_that_claim(
    meeting: Interleaving,
) -> None:
    arena.queue(meeting.watch, "wide", concurrency=5)
    enqueue(meeting.watch, *(request("wide", f"w{n}") for n in range(5)))
    meeting.first.execute("select pyengine.change_queue('wide', '{\"concurrency\": 2}')")
    behind = meeting.behind(lambda: claim(meeting.second, meeting.two))

    meeting.first.commit()

    assert len(behind.result(10)) == 2


def test_a_claim_that_waited_too_long_is_refused_when_its_executor_is_gone(
    meeting: Interleaving,
) -> None:
    enqueue(meeting.watch, request("one", "x"))
    meeting.first.execute("select from pyengine.queues where queue_name = 'one' for update")
    behind = meeting.behind(lambda: claim(meeting.second, meeting.two))
    arena.leave(meeting.watch, meeting.two)

    meeting.first.commit()

    with pytest.raises(psycopg.Error, match="no longer registered"):
        behind.result(10)
    meeting.second.rollback()
    assert arena.status(meeting.watch, "x") == "ENQUEUED"


def test_a_rate_limit_is_given_back_by_nothing(sql: Session) -> None:
    arena.queue(sql, "rated", limiter_limit=2, limiter_period_seconds=60)
    enqueue(sql, *(request("rated", f"w{n}") for n in range(9)))
    executor = register(sql)
    first, second = claim(sql, executor)

    arena.cancel(sql, first[0])
    arena.release(sql, second)
    sql.execute("select pyengine.resume_workflows(array['w0'], 'rated')")
    arena.leave(sql, executor)
    sql.execute("delete from pyengine.workflows where workflow_id = 'w0'")

    assert claim(sql, register(sql)) == []


def test_a_place_is_free_in_the_commit_that_ends_its_workflow(sql: Session) -> None:
    arena.queue(sql, "one", concurrency=1)
    enqueue(sql, request("one", "a"), request("one", "b"), request("one", "c"))
    executor = register(sql)
    (first,) = claim(sql, executor)
    assert claim(sql, executor) == []

    finish(sql, first)
    (second,) = claim(sql, executor)
    arena.cancel(sql, "b")

    assert (first[0], second[0]) == ("a", "b")
    assert [i for i, _ in claim(sql, executor)] == ["c"]


def test_unlimited_queues_do_not_wait_for_each_other(meeting: Interleaving) -> None:
    arena.queue(meeting.watch, "free")
    enqueue(meeting.watch, *(request("free", f"w{n}") for n in range(4)))

    first = claim(meeting.first, meeting.one, 2)
    second = claim(meeting.second, meeting.two, 10)

    assert len(first) == len(second) == 2


def test_a_full_queue_takes_of_a_batch_what_fits(sql: Session) -> None:
    arena.queue(sql, "shallow", max_depth=3)
    enqueue(sql, request("shallow", "a"))

    answers = enqueue(sql, *(request("shallow", name) for name in "abcd"))

    assert answers == [(1, None), (4, "PE429")]


def test_one_claim_at_a_time_makes_delayed_work_claimable(meeting: Interleaving) -> None:
    enqueue(meeting.watch, request("one", "due", delay_ms=1))
    meeting.watch.execute("select pg_sleep(0.01)")
    claim(meeting.first, meeting.one, queues=["another"])  # promotes, and has not committed

    assert claim(meeting.second, meeting.two) == []
    meeting.second.commit()
    locks = "select from pyengine.workflows for no key update nowait"
    meeting.first.commit()

    assert len(meeting.watch.execute(locks).fetchall()) == 1
    assert [i for i, _ in claim(meeting.second, meeting.two)] == ["due"]
