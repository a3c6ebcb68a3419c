"""Every two functions that touch something in common meet, in both orders, and whichever of them commits.

What they come to must be what some order, one after the other, comes to. The engine itself says what that is: each
order runs first in a transaction that is rolled back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import psycopg
import pytest

from pyengine import schema
from tests.races.actions import ACTIONS, Action, Result, Session, attempt, populate, state

pytestmark = pytest.mark.race

# Those that matter most meet in every run of the tests; all others in the slow ones.
CORE = {
    "claim", "heartbeat of the dead", "reap", "record", "finish", "cancel", "resume", "fork", "delete", "hibernate",
    "send", "receive", "set the awaited event", "debounce", "debounce once more", "do chores", "rewind", "continue",
    "apply a batch",
}  # fmt: skip
# Those that lock more than one row: only they can deadlock.
WIDE = {
    "claim", "record both", "finish both", "apply a batch", "cancel both", "delete both", "delete what waits",
    "cancel what waits", "resume what waits", "hibernate", "hibernate the other", "send to all", "send from s to w",
    "send from w to s", "send within a step of w", "start children", "set the awaited event", "do chores", "reap",
}  # fmt: skip

# Those that change nothing of the world as it is, and nothing that lasts.
IDLE = {"heartbeat", "start again"}

Outcome = tuple[list[Any], list[Any]]


def difference(reached: list[Any], expected: list[Any]) -> str:
    """What came out otherwise than an order would have it."""
    lines = [f"+ {row}" for row in reached if row not in expected]
    return "\n".join(
        ["not as in order:", *lines, *(f"- {r}" for r in expected if r not in reached)]
    )


# What is late in the world is late by a second: `verify` would report what nobody has seen to for longer.
JUST_NOW = """
    update pyengine.executors set heartbeat_at = now() - interval '1 second' where name = 'dead';
    update pyengine.workflows set deadline_at = now() - interval '1 second' where workflow_id = 'o'
"""


class World:
    """The world of the actions, restored for each meeting, and the sessions that meet."""

    def __init__(self, url: str, look: Session) -> None:
        self.look = look
        schema.reset(look, truncate=True)
        populate(look)
        found = look.execute(
            "select tablename from pg_tables where schemaname = 'pyengine' "
            "and tablename not in ('schema_migrations', 'settings') order by 1"
        )
        self.tables = [row[0] for row in found.fetchall()]
        look.execute("drop schema if exists races cascade; create schema races")
        for table in self.tables:
            look.execute(f"create table races.{table} as table pyengine.{table}")
        self.sessions = [psycopg.connect(url, autocommit=True) for _ in range(2)]
        for session in self.sessions:
            session.execute("set deadlock_timeout = '20ms'")
        self.gate = psycopg.connect(url)
        self._threads = ThreadPoolExecutor(2)

    def close(self) -> None:
        """End the sessions."""
        self._threads.shutdown()
        for session in (*self.sessions, self.gate):
            session.close()
        self.look.execute("drop schema races cascade")

    def restore(self) -> None:
        """Put everything back as `populate` left it."""
        parts = [f"delete from pyengine.{t}" for t in self.tables]
        parts += [
            f"insert into pyengine.{t} overriding system value table races.{t}" for t in self.tables
        ]
        self.look.execute("begin; " + "; ".join([*parts, JUST_NOW]) + "; commit")

    def serial(self, actions: list[Action], again: list[Action]) -> Outcome:
        """What the actions come to one after the other; nothing of it stays."""
        self.look.execute("begin")
        results = [attempt(each, self.look) for each in actions]
        reached = self.later(again)
        self.look.execute("rollback")
        return results, reached

    def background(self, number: int, work: Callable[[], Any]) -> Future[Any]:
        """Let a session do something; returns when it is done or waits for a lock."""
        future = self._threads.submit(work)
        query = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
        for _ in range(2000):
            if wait([future], 0.003).done:
                return future
            pid = self.sessions[number].info.backend_pid
            if self.look.execute(query, [pid]).fetchall() == [(True,)]:
                return future
        raise TimeoutError(f"session {number} is neither done nor blocked")

    def check(self, actions: list[Action], results: list[Result | str]) -> None:
        """Compare with every order, once those that pass over locked rows had another turn."""
        again = [each for each in actions if each.skips]
        expected: list[Outcome] = []
        assert self.look.execute("select * from pyengine.verify(deep => true)").fetchall() == []
        reached = self.later(again)
        self.restore()
        for order in itertools.permutations(range(len(actions))):
            found, end = self.serial([actions[number] for number in order], again)
            by_action = dict(zip(order, found, strict=True))
            told = [
                None if each.skips else by_action[number] for number, each in enumerate(actions)
            ]
            expected.append((told, end))
        told = [
            None if each.skips else result for each, result in zip(actions, results, strict=True)
        ]
        ends = [end for answers, end in expected if answers == told]
        assert ends, f"they answered {told}, in order they answer {[each[0] for each in expected]}"
        if again:
            # What passes over locked rows takes each row as it finds it: in the end a row is as in one of the orders.
            known = {row for end in ends for row in end}
            certain = set.intersection(*map(set, ends))
            assert certain <= set(reached) <= known, difference(reached, ends[0])
        else:
            assert reached in ends, "\n".join(difference(reached, end) for end in ends)

    def later(self, again: list[Action]) -> list[Any]:
        """What all comes to when those that passed over something had another turn."""
        self.look.execute("update pyengine.retention_policies set next_at = now()")
        for each in again * 2:  # what one of them lets go is for another to take
            attempt(each, self.look)
        return state(self.look)


@pytest.fixture(scope="module")
def world(engine_url: str) -> Iterator[World]:
    with psycopg.connect(engine_url, autocommit=True) as look:
        made = World(engine_url, look)
        yield made
        made.close()


def pairs(of: Callable[[Action, Action], bool]) -> list[Any]:
    """Every two actions that touch something in common, in both orders; slow unless `of` says otherwise."""
    return [
        pytest.param(a, b, id=f"{a.name}-{b.name}", marks=() if of(a, b) else pytest.mark.slow)
        for a, b in itertools.product(ACTIONS.values(), repeat=2)
        if a.rows & b.rows
    ]


def are_core(a: Action, b: Action) -> bool:
    return {a.name, b.name} <= CORE


@pytest.mark.parametrize(("a", "b"), pairs(are_core))
def test_the_second_waits_for_the_first_to_commit_or_does_without_it(
    world: World, a: Action, b: Action
) -> None:
    world.restore()
    first, second = world.sessions
    first.execute("begin")
    begun = attempt(a, first)

    late = world.background(1, lambda: attempt(b, second))
    first.execute("commit")

    world.check([a, b], [begun, late.result(10)])


@pytest.mark.parametrize(("a", "b"), pairs(are_core))
def test_the_first_is_rolled_back_and_has_never_been(world: World, a: Action, b: Action) -> None:
    world.restore()
    first, second = world.sessions
    first.execute("begin")
    attempt(a, first)

    late = world.background(1, lambda: attempt(b, second))
    first.execute("rollback")

    world.check([b], [late.result(10)])


def narrow_gates() -> list[Any]:
    """Pairs that lock several rows, each with a row in the middle at which both are held up."""
    return [
        pytest.param(a, b, row, id=f"{a.name}-{b.name}-{row}", marks=() if quick else pytest.mark.slow)
        for a, b in itertools.product(ACTIONS.values(), repeat=2)
        for row in sorted(a.rows & b.rows)
        if {a.name, b.name} <= WIDE
        for quick in [row in ("w", "s") and a.name < b.name]
    ]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "row"), narrow_gates())
def test_two_that_are_held_up_at_one_row_go_on_without_a_deadlock(
    world: World, a: Action, b: Action, row: str
) -> None:
    world.restore()
    first, second = world.sessions
    where = {
        "q": "queues where queue_name",
        "dead": "executors where name",
        "one": "executors where name",
    }
    world.gate.execute(
        f"select from pyengine.{where.get(row, 'workflows where workflow_id')} = %s for update",
        [row],
    )

    early = world.background(0, lambda: attempt(a, first))
    late = world.background(1, lambda: attempt(b, second))
    world.gate.commit()

    world.check([a, b], [early.result(10), late.result(10)])


@pytest.mark.parametrize("each", ACTIONS.values(), ids=ACTIONS)
def test_an_action_alone_does_something_or_is_told_why_not(world: World, each: Action) -> None:
    world.restore()
    before = state(world.look)

    results, after = world.serial([each], [])

    assert after != before or "PE" in str(results) or each.name in IDLE
