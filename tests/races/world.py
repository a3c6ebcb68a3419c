"""The world in which functions meet: restored for each meeting, and compared with every order of the calls."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import psycopg

from pyengine import schema
from tests.races.actions import Action, Result, Session, attempt, populate, state

Outcome = tuple[list[Any], list[Any]]


def difference(reached: list[Any], expected: list[Any]) -> str:
    """What came out otherwise than an order would have it."""
    lines = [f"+ {row}" for row in reached if row not in expected]
    return "\n".join(
        ["not as in order:", *lines, *(f"- {r}" for r in expected if r not in reached)]
    )


def judge(actions: list[Action], found: Outcome, orders: list[Outcome]) -> None:
    """Compare what they answered and came to with what they would have in some order."""
    results, reached = found
    told = _told(actions, results)
    ends = [end for answers, end in orders if _told(actions, answers) == told]
    in_order = [_told(actions, answers) for answers, _ in orders]
    assert ends, f"they answered {told}, in order they answer {in_order}"
    if any(each.skips for each in actions):
        # What passes over locked rows takes each row as it finds it: in the end a row is as in one of the orders.
        known = {row for end in ends for row in end}
        certain = set.intersection(*map(set, ends))
        assert certain <= set(reached) <= known, difference(reached, ends[0])
    else:
        assert reached in ends, "\n".join(difference(reached, end) for end in ends)


def _told(actions: list[Action], results: list[Any]) -> list[Any]:
    """The answers that depend on the order of the calls alone."""
    return [None if do.skips else result for do, result in zip(actions, results, strict=True)]


# What is late in the world is late by a second: `verify` would report what nobody has seen to for longer.
JUST_NOW = """
    update pyengine.executors set heartbeat_at = now() - interval '1 second' where name = 'dead';
    update pyengine.workflows set deadline_at = now() - interval '1 second' where workflow_id = 'o'
"""


class World:
    """The world of the actions, restored for each meeting, and the sessions that meet."""

    def __init__(self, url: str, look: Session) -> None:
        self.look = look
        self.url = url
        self.tables: list[str] = []
        self.renew()
        self.sessions = [psycopg.connect(url, autocommit=True) for _ in range(2)]
        for session in self.sessions:
            session.execute("set deadlock_timeout = '20ms'")
        self.gate = psycopg.connect(url)
        self._threads = ThreadPoolExecutor(2)

    def renew(self) -> None:
        """Make it (again): what is due in it minutes after its making is due in minutes once more."""
        schema.reset(self.look, truncate=True)
        populate(self.look)
        found = self.look.execute(
            "select tablename from pg_tables where schemaname = 'pyengine' "
            "and tablename not in ('schema_migrations', 'settings') order by 1"
        )
        self.tables = [row[0] for row in found.fetchall()]
        self.look.execute("drop schema if exists races cascade; create schema races")
        for table in self.tables:
            self.look.execute(f"create table races.{table} as table pyengine.{table}")

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
        reached = self.reached(actions)
        self.restore()
        judge(actions, (results, reached), self.orders(actions))

    def reached(self, actions: list[Action]) -> list[Any]:
        """What they came to, in which the engine itself finds nothing wrong."""
        wrong = self.look.execute("select * from pyengine.verify(deep => true)").fetchall()
        assert wrong == [], wrong
        return self.later([each for each in actions if each.skips])

    def orders(self, actions: list[Action]) -> list[Outcome]:
        """What they answer and come to in every order, in the world as it was made."""
        again = [each for each in actions if each.skips]
        found: list[Outcome] = []
        for order in itertools.permutations(range(len(actions))):
            results, end = self.serial([actions[number] for number in order], again)
            by_action = dict(zip(order, results, strict=True))
            found.append(([by_action[number] for number in range(len(actions))], end))
        return found

    def later(self, again: list[Action]) -> list[Any]:
        """What all comes to when those that passed over something had another turn.

        On a busy machine a claim leaves a bookmark, behind which it looks for a second: here that second is over.
        """
        self.look.execute("delete from pyengine.bookmarks")
        self.look.execute("update pyengine.retention_policies set next_at = now()")
        for each in again * 2:  # what one of them lets go is for another to take
            attempt(each, self.look)
        return self.state()

    def state(self) -> list[Any]:
        """All that counts of what is stored."""
        return state(self.look)
