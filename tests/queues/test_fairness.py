"""Every key has its turn, whatever the others do; within a key the order is kept."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.queues import arena
from tests.queues.arena import Session, claim, enqueue, finish, register, request


def fill(session: Session, queue_name: str, keys: int, each: int, first: str = "key") -> None:
    """Enqueue `each` workflows for each of many keys; their ids begin with the key."""
    session.execute(
        """insert into pyengine.workflows
           (workflow_id, status, name, queue_name, partition_key, created_at, updated_at, serialization, inputs)
           select format('%%s-%%s', k.key, i), 'ENQUEUED', 'f', %(queue)s, k.key, now(), now(), 'json', '{}'
           from (select %(first)s || lpad(n::text, 5, '0') as key from generate_series(1, %(keys)s) n) k,
                generate_series(1, %(each)s) i""",
        {"queue": queue_name, "first": first, "keys": keys, "each": each},
    )
    session.execute("analyze pyengine.workflows")


def key_of(lease: tuple[str, str]) -> str:
    return lease[0].split("-")[0]


def test_each_of_thousands_of_keys_has_its_turn(sql: Session) -> None:
    arena.queue(sql, "keyed", partition_concurrency=1)
    fill(sql, "keyed", keys=3000, each=3)
    executor = register(sql)
    turns: Counter[str] = Counter()

    for _ in range(60):
        claimed = claim(sql, executor, 100)
        turns.update(map(key_of, claimed))
        finish(sql, *claimed)

    assert len(turns) == 3000
    assert set(turns.values()) == {2}


def test_a_key_with_a_great_backlog_starves_nobody(sql: Session) -> None:
    arena.queue(sql, "keyed", concurrency=2, partition_concurrency=2)
    fill(sql, "keyed", keys=1, each=20_000, first="hog")
    fill(sql, "keyed", keys=10, each=3)
    executor = register(sql)
    order: list[str] = []

    for _ in range(45):
        claimed = claim(sql, executor, 1)
        order += map(key_of, claimed)
        finish(sql, *claimed)

    for key in {key for key in order if key.startswith("key")}:
        assert order.index(key) < 2 * 11
    assert sum(key.startswith("key") for key in order) == 30


def test_many_keys_that_can_not_start_do_not_hide_the_others(sql: Session) -> None:
    arena.queue(sql, "keyed", partition_concurrency=1)
    fill(sql, "keyed", keys=2500, each=2)
    executor = register(sql)
    assert len(claim(sql, executor, 2500)) + len(claim(sql, executor, 2500)) == 2500
    fill(sql, "keyed", keys=1, each=1, first="zz")

    claimed = claim(sql, executor, 100) or claim(sql, executor, 100)

    assert list(map(key_of, claimed)) == ["zz00001"]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_work_with_and_without_a_key_takes_turns(sql: Session, isolation: str) -> None:
    sql.execute(f"set default_transaction_isolation = '{isolation}'".encode())
    arena.queue(sql, "users", concurrency=1)
    for number in range(6):
        enqueue(sql, request("users", f"keyed-{number}", partition_key=f"{number}", is_serial=True))
        enqueue(sql, request("users", f"free-{number}"))
    executor = register(sql)
    kinds: list[str] = []
    if isolation == "repeatable read":
        assert (
            claim(sql, executor) == []
        )  # the first of its kind only says that there are such claims

    for _ in range(8):
        claimed = claim(sql, executor, 5)
        kinds += map(key_of, claimed)
        finish(sql, *claimed)

    assert Counter(kinds) == {"keyed": 4, "free": 4}


def test_a_key_is_served_by_priority_and_then_in_order(sql: Session) -> None:
    arena.queue(sql, "keyed", partition_concurrency=1)
    for name, priority in (("c", 2), ("d", 2), ("a", 1), ("b", 1), ("unset", 0)):
        enqueue(sql, request("keyed", name, partition_key="k", priority=priority))
    executor = register(sql)
    order = []

    while claimed := claim(sql, executor):
        order += [workflow_id for workflow_id, _ in claimed]
        finish(sql, *claimed)

    assert order == ["unset", "a", "b", "c", "d"]


def test_serial_work_that_waited_for_its_queue_to_be_registered_is_served(sql: Session) -> None:
    enqueue(sql, request("later", "a", partition_key="k", is_serial=True))
    enqueue(sql, request("later", "b", partition_key="k", is_serial=True))

    arena.queue(sql, "later")

    assert [workflow_id for workflow_id, _ in claim(sql, register(sql))] == ["a"]


def test_ignored_keys_keep_the_order_of_the_queue(sql: Session) -> None:
    arena.queue(sql, "plain")
    for number in range(6):
        key = {"partition_key": "k"} if number % 2 else {}
        enqueue(sql, request("plain", str(number), priority=5 - number, **key))

    claimed = [claim(sql, register(sql), 1)[0][0] for _ in range(6)]

    assert claimed == ["5", "4", "3", "2", "1", "0"]


def test_the_log_of_starts_keeps_nothing_of_keys_that_do_not_come_back(sql: Session) -> None:
    arena.queue(sql, "rated", partition_limiter_limit=1, partition_limiter_period_seconds=0.01)
    executor = register(sql)

    for number in range(20):
        enqueue(sql, request("rated", partition_key=f"once-{number}"))
        assert len(claim(sql, executor)) == 1
        sql.execute("select pg_sleep(0.011)")

    assert sql.execute("select count(*) from pyengine.queue_starts").fetchone() == (1,)
