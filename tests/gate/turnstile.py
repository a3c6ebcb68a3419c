"""Sessions that stand still before a step until they are let through, and who lets them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.gate.schedules import Schedule, Turn

Session = psycopg.Connection[Any]
Work = Callable[[Session], Any]

# Which sessions wait: at a gate, or for what another of them holds. The gate's locks have two keys, the engine's one.
_WAITING = """
    select l.pid, not (l.locktype = 'advisory' and l.objsubid = 2)
    from pg_locks l
    where not l.granted and l.pid = any (%(pids)s::int[])
      and (l.locktype = 'advisory' and l.objsubid = 2 or pg_blocking_pids(l.pid) && %(pids)s::int[])
"""
_GLANCE = 0.0005
_PATIENCE = 30.0


def count_anew(session: Session, chance: float = 0.0) -> None:
    """Let the next call begin at step 0, and draw the same random numbers every time."""
    session.execute(f"set plgate.step = 0; set seed = {chance:.6f}")


def steps_of(session: Session) -> int:
    """How many steps the last call took."""
    return int(session.execute("show plgate.step").fetchall()[0][0])


def load(session: Session, library: Path) -> None:
    """Give the steps of a session their gates."""
    session.execute(sql.SQL("load {}").format(str(library)))


@dataclass(frozen=True)
class Played:
    """What came of a schedule: what each call answered, or the error that ended it, and whether one blocked another."""

    answers: list[Any]
    blocked: bool


class Turnstile:
    """As many sessions as may meet; a call in one of them is a transaction of its own."""

    def __init__(self, url: str, library: Path, size: int = 2) -> None:
        self.keeper = psycopg.connect(url, autocommit=True)
        self.sessions = [psycopg.connect(url, autocommit=True) for _ in range(size)]
        for number, session in enumerate(self.sessions):
            load(session, library)
            session.execute(f"set plgate.id = {number + 1}")
            session.execute("set deadlock_timeout = '20ms'")
        self.threads = ThreadPoolExecutor(size)

    def close(self) -> None:
        """End the sessions."""
        self.threads.shutdown()
        for session in (self.keeper, *self.sessions):
            session.close()

    def steps(self, work: Work) -> int:
        """How many steps a call takes alone; what it does is taken back."""
        session = self.sessions[0]
        count_anew(session)
        with session.transaction(force_rollback=True):
            work(session)
            return steps_of(session)

    def play(self, works: Sequence[Work], schedule: Schedule) -> Played:
        """Let the calls take their turns."""
        game = _Game(self, works, schedule)
        try:
            for turn in schedule:
                game.take(turn)
            return game.end()
        finally:
            self.keeper.execute("select pg_advisory_unlock_all()")


class _Game:
    """One schedule. The keeper holds the locks of all stops that the turns so far do not pass."""

    def __init__(self, place: Turnstile, works: Sequence[Work], schedule: Schedule) -> None:
        self._place = place
        self._works = works
        self._running: dict[int, Future[Any]] = {}
        self._stops = {(turn.who, turn.until) for turn in schedule if turn.until is not None}
        self._pids = [session.info.backend_pid for session in place.sessions[: len(works)]]
        self._blocked = False
        self._chance = random.Random(str(schedule)).uniform(-1, 1)
        self._keep("pg_advisory_lock", self._stops)

    def take(self, turn: Turn) -> None:
        """Let a call go on, until it and all that it let go on stand still."""
        passed = {(w, n) for w, n in self._stops if w == turn.who and n < (turn.until or n + 1)}
        self._stops -= passed
        self._keep("pg_advisory_unlock", passed)
        if turn.who not in self._running:
            session = self._place.sessions[turn.who]
            count_anew(session, self._chance)
            work = self._works[turn.who]
            self._running[turn.who] = self._place.threads.submit(work, session)
        self._settle()

    def end(self) -> Played:
        """What the calls came to; who waits for one another in a circle is told so by the server."""
        _, late = wait(self._running.values(), _PATIENCE)
        for session in self._place.sessions if late else []:
            session.cancel_safe()
        answers = [_answer(self._running[number]) for number in range(len(self._works))]
        return Played(answers, self._blocked)

    def _keep(self, function: str, stops: set[tuple[int, int]]) -> None:
        if stops:
            query = sql.SQL("select {}(k, n) from unnest(%s::int[], %s::int[]) s(k, n)")
            values = [[who + 1 for who, _ in stops], [step for _, step in stops]]
            self._place.keeper.execute(query.format(sql.Identifier(function)), values)

    def _settle(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            going = {n: f for n, f in self._running.items() if not f.done()}
            if not going or wait(going.values(), _GLANCE, FIRST_COMPLETED).done:
                if all(f.done() for f in going.values()):
                    return
                continue
            rows = self._place.keeper.execute(_WAITING, {"pids": self._pids}).fetchall()
            waiting: dict[int, bool] = dict(rows)
            self._blocked = self._blocked or any(waiting.values())
            if all(self._pids[number] in waiting for number in going):
                return
        raise TimeoutError("a call is neither done nor does it wait")


def _answer(call: Future[Any]) -> Any:
    error = call.exception()
    return call.result() if error is None else error
