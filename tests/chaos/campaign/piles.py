"""Everything at once on a few families: sessions start, claim, record, finish, cancel, resume, fork, rewind, delete and
clean up the same parents and children, each in an order of its own.

Nothing but the order in which the engine's functions lock rows keeps them from waiting for each other in a circle. The
server looks for circles after ten milliseconds, and its log tells of each (G-19).
"""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg

from pyengine import schema
from tests.chaos.campaign.deadlocks import Deadlocks
from tests.chaos.campaign.report import Report
from tests.fix_server import PrivateServer, server_directory
from tests.queues import arena

NAME = "piles"
FAULT = "F-25 G-19"
SESSIONS = 8
FAMILIES = 4
CHILDREN = 3
# Who has locked several rows keeps them for a while, so that others pile up behind it, and go on all at once.
_SLOW = """
create function public.slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.002); return new; end $$;
create trigger slow before update on pyengine.workflows for each row execute function public.slow()
"""
QUEUES: dict[str, dict[str, object]] = {
    "free": {},
    "tight": {"concurrency": 6, "worker_concurrency": 3},
    "rated": {"limiter_limit": 200, "limiter_period_seconds": 1},
    "full": {"max_depth": 8},
}
IDS = [f"family-{n}" for n in range(FAMILIES)]
IDS += [f"{root}-{n}" for root in IDS for n in range(CHILDREN)]


class Player:
    """A session with an executor of its own."""

    def __init__(self, session: arena.Session, rng: random.Random) -> None:
        self.session = session
        self.rng = rng
        self.executor_id = arena.register(session)
        self.leases: list[tuple[str, str]] = []
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def act(self) -> None:
        """Call any function; what the engine refuses is as good."""
        action = self.rng.choice(ACTIONS)
        try:
            action(self)
            self.done[action.__name__.strip("_")] += 1
        except psycopg.errors.DeadlockDetected:
            self.leases.clear()  # the log tells
        except psycopg.Error as error:
            if not str(error.sqlstate).startswith("PE"):
                raise
            self.refused[str(error.sqlstate)] += 1

    def call(self, text: str, *values: object) -> list[Any]:
        """Not as `arena.call`, which repeats what met in a circle."""
        return self.session.execute(text.encode(), values).fetchall()

    def some(self, most: int = 8) -> list[str]:
        return self.rng.sample(IDS, self.rng.randint(1, most))

    def queue(self) -> str | None:
        return self.rng.choice([*QUEUES, None])

    def _start(self) -> None:
        requests = [arena.request(self.queue(), each) for each in self.some()]
        self.call("select 1 from pyengine.start_workflows(requests => %s)", json.dumps(requests))

    def _start_children(self) -> None:
        parents = [lease for lease in self.leases if lease[0].count("-") == 1]
        requests = [
            arena.request(
                self.queue(), f"{parent}-{n}", parent_workflow_id=parent, parent_lease_token=token,
                parent_step_id=10 + n, step_name="f",
            )
            for parent, token in self._shuffled(parents) for n in range(CHILDREN)
        ]  # fmt: skip
        self.call("select 1 from pyengine.start_workflows(requests => %s)", json.dumps(requests))

    def _claim(self) -> None:
        token = str(uuid.uuid4())
        text = """select c.workflow_id from pyengine.claim_workflows(
            executor_id => %s, lease_token => %s, claim_limit => %s) c"""
        rows = self.call(text, self.executor_id, token, self.rng.randint(1, 8))
        self.leases += [(workflow_id, token) for (workflow_id,) in rows]

    def _record(self) -> None:
        steps = [
            {**self._of_run(lease), "step_id": self.rng.randint(1, 5), "name": "s", "output": 1}
            for lease in self._shuffled(self.leases)
        ]
        self.call("select 1 from pyengine.record_steps(requests => %s)", json.dumps(steps))

    def _finish(self) -> None:
        ends = [{**self._of_run(lease), "output": 1} for lease in self._take()]
        self.call("select 1 from pyengine.finish_workflows(requests => %s)", json.dumps(ends))

    def _finish_and_claim(self) -> None:
        ends = [{**self._of_run(lease), "output": 1} for lease in self._take()]
        text = "select 1 from pyengine.finish_and_claim(%s, %s, %s, %s)"
        # What it claims is forgotten: it comes back when this executor leaves.
        self.call(text, json.dumps(ends), self.executor_id, str(uuid.uuid4()), 3)

    def _release(self) -> None:
        gone = [{"workflow_id": i, "lease_token": token} for i, token in self._take()]
        self.call("select pyengine.release_workflows(requests => %s)", json.dumps(gone))

    def _hibernate(self) -> None:
        for workflow_id, token in self._take()[:1]:
            wait = {"kind": "result", "id": self.rng.choice(IDS), "name": ""}
            text = "select pyengine.hibernate_workflow(workflow_id => %s, lease_token => %s, waits => %s)"
            self.call(text, workflow_id, token, json.dumps([wait]))

    def _send(self) -> None:
        mail = [
            {"destination_id": each, "message": 1, "serialization": "json"} for each in self.some()
        ]
        self.call("select 1 from pyengine.send_messages(messages => %s)", json.dumps(mail))

    def _cancel(self) -> None:
        self.call("select pyengine.cancel_workflows(%s, true)", self.some())

    def _resume(self) -> None:
        self.call("select pyengine.resume_workflows(%s, %s)", self.some(), self.queue())

    def _fork(self) -> None:
        self.call("select pyengine.fork_workflow(%s, start_step => 2)", self.rng.choice(IDS))

    def _rewind(self) -> None:
        self.call("select pyengine.rewind_workflow(%s, start_step => 2)", self.rng.choice(IDS))

    def _delete(self) -> None:
        self.call("select pyengine.delete_workflows(%s, true)", self.some())

    def _attribute(self) -> None:
        text = "select pyengine.update_workflow_attributes(%s, '{\"a\": 1}')"
        self.call(text, self.rng.choice(IDS))

    def _tick(self) -> None:
        text = "select 1 from pyengine.tick_executor(executor_id => %s, heartbeat_seconds => 0)"
        self.call(text, self.executor_id)

    def _clean_up(self) -> None:
        self.call("select 1 from pyengine.run_chores()")

    def _change_queue(self) -> None:
        text = "select 1 from pyengine.change_queue('tight', %s)"
        self.call(text, json.dumps({"concurrency": self.rng.randint(3, 8)}))

    def _leave(self) -> None:
        self.call("select pyengine.leave_executor(executor_id => %s)", self.executor_id)
        self.leases.clear()
        self.executor_id = arena.register(self.session)

    def _take(self) -> list[tuple[str, str]]:
        """Some of the leases, which are given up."""
        self.leases = self._shuffled(self.leases)
        count = self.rng.randint(0, len(self.leases))
        taken, self.leases = self.leases[:count], self.leases[count:]
        return taken

    def _shuffled(self, leases: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return self.rng.sample(leases, len(leases))

    def _of_run(self, lease: tuple[str, str]) -> dict[str, Any]:
        return {"workflow_id": lease[0], "lease_token": lease[1], "serialization": "json"}


ACTIONS: tuple[Callable[[Player], None], ...] = (
    Player._start, Player._start_children, Player._claim, Player._claim, Player._record, Player._finish,
    Player._finish_and_claim, Player._release, Player._hibernate, Player._send, Player._cancel, Player._resume,
    Player._fork, Player._rewind, Player._delete, Player._attribute, Player._tick, Player._clean_up,
    Player._change_queue, Player._leave,
)  # fmt: skip


def run(seed: int, seconds: float) -> Report:
    """Let all sessions call whatever they like for so long."""
    directory = server_directory()
    settings = {"deadlock_timeout": "10ms", "fsync": "off", "autovacuum_naptime": "5s"}
    server = PrivateServer(directory / "server", settings)
    report = Report(NAME, FAULT, seed)
    try:
        with psycopg.connect(server.url(), autocommit=True) as session:
            schema.migrate(session)
            session.execute("select pyengine.set_retention('app', success_age => '1 s')")
            for name, limits in QUEUES.items():
                arena.queue(session, name, **limits)
            session.execute(_SLOW)
            _play(server.url(), seed, seconds, report)
            found = session.execute("select * from pyengine.verify(deep => true)").fetchall()
            if found:
                report.violations["verify"] = found
            rows = session.execute("select count(*) from pyengine.workflows").fetchall()
            report.workflows = int(rows[0][0])
        deadlocks = Deadlocks()
        deadlocks.read((server.root / "log").glob("*.log"))
        report.count_deadlocks(deadlocks)
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)
    report.missed = [
        name
        for name in {action.__name__.strip("_") for action in ACTIONS}
        if not report.sometimes.get(name)
    ]
    return report


def _play(url: str, seed: int, seconds: float, report: Report) -> None:
    until = time.monotonic() + seconds
    done: Counter[str] = Counter()
    failures: list[BaseException] = []

    def play(number: int) -> None:
        try:
            with psycopg.connect(url, autocommit=True) as session:
                player = Player(session, random.Random(seed * SESSIONS + number))
                while time.monotonic() < until and not failures:
                    player.act()
                done.update(player.done)
                report.ops += player.done.total() + player.refused.total()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=play, args=(number,)) for number in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    report.sometimes = dict(done)
