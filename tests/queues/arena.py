"""Many connections that enqueue, claim, finish, give back, cancel and die, as fast as the database lets them."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg

Session = psycopg.Connection[Any]

# The functions that a test does not name itself.
FUNCTION = "f"


def call(session: Session, text: str, *values: object) -> list[Any]:
    """The rows of a statement, which is repeated when transactions met."""
    while True:
        try:
            return session.execute(text, values).fetchall()
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
            if not session.autocommit:
                raise


def register(
    session: Session, version: str = "1", name: str | None = None, function: str = FUNCTION
) -> int:
    """Register an executor that can run a function; its id."""
    text = """select pyengine.register_executor(
        name => %s, application_name => 'app', application_version => %s, version_is_pinned => true,
        functions => %s, channel => %s, lease_seconds => 60)"""
    rows = call(session, text, name or str(uuid.uuid4()), version, [function], f"c{uuid.uuid4()}")
    return int(rows[0][0])


def queue(session: Session, name: str, **limits: object) -> None:
    """Register a queue."""
    parameters = "".join(f", {key} => %s" for key in limits)
    call(
        session,
        f"select 1 from pyengine.register_queue(queue_name => %s{parameters})",
        name,
        *limits.values(),
    )


def request(
    queue_name: str | None, workflow_id: str | None = None, **keys: object
) -> dict[str, Any]:
    """The document of an enqueue; any version may run it."""
    return {
        "workflow_id": workflow_id or str(uuid.uuid4()),
        "name": FUNCTION,
        "application_name": "app",
        "application_version": "0",
        "serialization": "json",
        "inputs": {},
        "queue_name": queue_name,
        **keys,
    }


def enqueue(session: Session, *requests: dict[str, Any]) -> list[Any]:
    """Enqueue; the refusals."""
    text = "select item, refusal from pyengine.start_workflows(requests => %s)"
    return call(session, text, json.dumps(requests))


def claim(
    session: Session,
    executor_id: int,
    limit: int = 10,
    queues: list[str] | None = None,
    seen: dict[str, str] | None = None,
) -> list[tuple[str, str]]:
    """Claim: ids with the lease token. `seen` notes what the claim could see, by its token."""
    token = str(uuid.uuid4())
    text = """select c.workflow_id, pg_current_snapshot()::text from pyengine.claim_workflows(
        executor_id => %s, lease_token => %s, claim_limit => %s, queue_names => %s) c"""
    rows = call(session, text, executor_id, token, limit, queues)
    if rows and seen is not None:
        seen[token] = rows[0][1]
    return [(row[0], token) for row in rows]


def finish(session: Session, *leases: tuple[str, str]) -> None:
    """Finish workflows."""
    documents = [
        {"workflow_id": i, "lease_token": token, "output": 1, "serialization": "json"}
        for i, token in leases
    ]
    text = "select 1 from pyengine.finish_workflows(requests => %s)"
    call(session, text, json.dumps(documents))


def release(session: Session, *leases: tuple[str, str]) -> None:
    """Give workflows back."""
    documents = [{"workflow_id": i, "lease_token": token} for i, token in leases]
    call(session, "select pyengine.release_workflows(requests => %s)", json.dumps(documents))


def hibernate(session: Session, workflow_id: str, token: str) -> bool:
    """Give up a run until its workflow gets a message: whether it hibernates."""
    waits = json.dumps([{"kind": "message", "id": workflow_id, "name": ""}])
    text = "select pyengine.hibernate_workflow(workflow_id => %s, lease_token => %s, waits => %s)"
    return bool(call(session, text, workflow_id, token, waits)[0][0])


def send(session: Session, *workflow_ids: str) -> None:
    """A message to each."""
    documents = [{"destination_id": i, "message": 1, "serialization": "json"} for i in workflow_ids]
    text = "select 1 from pyengine.send_messages(messages => %s)"
    call(session, text, json.dumps(documents))


def leave(session: Session, executor_id: int) -> None:
    """End an executor: its work is returned."""
    call(session, "select pyengine.leave_executor(executor_id => %s)", executor_id)


def cancel(session: Session, *workflow_ids: str) -> None:
    """Cancel workflows."""
    text = "select pyengine.cancel_workflows(workflow_ids => %s)"
    call(session, text, list(workflow_ids))


def status(session: Session, workflow_id: str) -> str:
    """The status of a workflow."""
    text = "select status from pyengine.workflows where workflow_id = %s"
    return str(call(session, text, workflow_id)[0][0])


QUEUES: dict[str, dict[str, object]] = {
    "free": {},
    "global": {"concurrency": 5},
    "worker": {"worker_concurrency": 2},
    "both": {"concurrency": 7, "worker_concurrency": 2},
    "keyed": {"partition_concurrency": 1},
    "keyed wide": {"partition_concurrency": 2, "concurrency": 9},
    "keyed worker": {"partition_worker_concurrency": 1, "worker_concurrency": 4},
    "rate": {"limiter_limit": 60, "limiter_period_seconds": 0.4},
    "keyed rate": {"partition_limiter_limit": 5, "partition_limiter_period_seconds": 0.3},
    "shallow": {"max_depth": 40, "concurrency": 6},
}


class Arena:
    """Runs the players until there were enough claims, or something failed.

    Their sessions have an isolation level, or, if it is `mixed`, each in turn.
    """

    def __init__(self, url: str, *, seed: int, isolation: str = "read committed") -> None:
        levels = ("read committed", "repeatable read") if isolation == "mixed" else (isolation,)
        self._levels = itertools.cycle(level.replace(" ", "\\ ") for level in levels)
        self._url = url
        self._seed = seed
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._failures: list[BaseException] = []
        self._recent: list[str] = []
        self.claims = 0
        self.refusals = 0
        self.deaths = 0
        self.hibernations = 0
        self._asleep: list[str] = []
        self.seen: dict[str, str] = {}

    def connect(self, *, autocommit: bool = True) -> Session:
        """A session with the arena's isolation level."""
        options = f"-c default_transaction_isolation={next(self._levels)}"
        return psycopg.connect(self._url, autocommit=autocommit, options=options)

    def run(self, claims: int, *, claimers: int = 8, timeout: float = 600) -> None:
        """Play until there were so many claims."""
        with self.connect() as session:
            for name, limits in QUEUES.items():
                queue(session, name, **limits)
        players: list[Callable[[random.Random], None]] = [
            self._claimer(number, claims) for number in range(claimers)
        ]
        players += [self._enqueuer, self._late_enqueuer, self._operator, self._waker]
        threads = [
            threading.Thread(target=self._play, args=(player, self._seed + number), daemon=True)
            for number, player in enumerate(players)
        ]
        for thread in threads:
            thread.start()
        assert self._stopped.wait(timeout), f"only {self.claims} claims"
        for thread in threads:
            thread.join(30)
        if self._failures:
            raise self._failures[0]
        with self.connect() as session, session.cursor() as cursor:
            cursor.executemany("insert into audit.claims values (%s, %s)", list(self.seen.items()))

    def _play(self, player: Callable[[random.Random], None], seed: int) -> None:
        try:
            player(random.Random(seed))
        except BaseException as error:
            self._failures.append(error)
            self._stopped.set()

    def _claimer(self, number: int, enough: int) -> Callable[[random.Random], None]:
        def play(rng: random.Random) -> None:
            version = str(number % 2 + 1)
            held: list[tuple[str, str]] = []
            with self.connect() as session:
                executor_id = register(session, version)
                while not self._stopped.is_set():
                    claimed = claim(session, executor_id, rng.choice((1, 2, 5, 20)), seen=self.seen)
                    held += claimed
                    with self._lock:
                        self.claims += len(claimed)
                        if self.claims >= enough:
                            self._stopped.set()
                    rng.shuffle(held)
                    count = rng.randint(0, len(held))
                    ended, held = held[:count], held[count:]
                    (release if rng.random() < 0.05 else finish)(session, *ended)
                    while held and rng.random() < 0.4:
                        self._hibernate(session, *held.pop())
                    if rng.random() < 0.02:
                        leave(session, executor_id)
                        executor_id, held = register(session, version), []
                        self.deaths += 1

        return play

    def _hibernate(self, session: Session, workflow_id: str, token: str) -> None:
        """Let a workflow wait for the waker; one that may not is given back."""
        try:
            if not hibernate(session, workflow_id, token):
                release(session, (workflow_id, token))
                return
        except psycopg.Error as error:
            if error.sqlstate not in ("PE001", "PE002"):
                raise
            return
        with self._lock:
            self._asleep.append(workflow_id)
            self.hibernations += 1

    def _waker(self, rng: random.Random) -> None:
        """Wakes what hibernates, one or several at once."""
        with self.connect() as session:
            while not self._stopped.is_set():
                with self._lock:
                    rng.shuffle(self._asleep)
                    woken, self._asleep = self._asleep[:5], self._asleep[5:]
                if woken:
                    send(session, *woken)
                    call(session, "delete from pyengine.messages returning 1")
                time.sleep(0.005)

    def _requests(self, rng: random.Random, count: int) -> list[dict[str, Any]]:
        """Random work; more of it where limits let more through."""
        made = []
        for _ in range(count):
            name = rng.choice(list(QUEUES))
            key = rng.choice("abcdefghijklmnop")
            document = request(name, priority=rng.choice((0, 0, 1, 5, 9)))
            if name.startswith("keyed") or rng.random() < 0.1:
                document["partition_key"] = key
                document["is_serial"] = name == "free"
            if rng.random() < 0.3:
                document.update(version_is_pinned=True, application_version=rng.choice("12"))
            if rng.random() < 0.05:
                document["delay_ms"] = rng.choice((20, 200))
            elif rng.random() < 0.1 and "partition_key" not in document:
                document["deduplication_id"] = key
            made.append(document)
        with self._lock:
            self._recent = ([d["workflow_id"] for d in made] + self._recent)[:500]
        return made

    def _backlog(self, session: Session) -> int:
        text = "select count(*) from pyengine.workflows where status in ('ENQUEUED', 'DELAYED')"
        return int(call(session, text)[0][0])

    def _enqueuer(self, rng: random.Random) -> None:
        with self.connect() as session:
            while not self._stopped.is_set():
                if self._backlog(session) > 1500:
                    time.sleep(0.02)
                    continue
                self._count(enqueue(session, *self._requests(rng, rng.choice((1, 10, 100)))))

    def _late_enqueuer(self, rng: random.Random) -> None:
        """Enqueues that commit long after their place in the order was fixed."""
        with self.connect(autocommit=False) as session:
            while not self._stopped.is_set():
                try:
                    documents = [d for d in self._requests(rng, 5) if d["queue_name"] != "shallow"]
                    enqueue(session, *documents)
                    time.sleep(rng.random() * 0.03)
                    session.commit()
                except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                    session.rollback()

    def _operator(self, rng: random.Random) -> None:
        """Cancels, changes of limits, pauses."""
        with self.connect() as session:
            while not self._stopped.is_set():
                with self._lock:
                    some = rng.sample(self._recent, min(len(self._recent), 3))
                cancel(session, *some)
                changes = json.dumps({"concurrency": rng.randint(2, 8)})
                call(session, "select 1 from pyengine.change_queue('global', %s)", changes)
                if rng.random() < 0.1:
                    call(session, "select pyengine.pause_queue('both')")
                    time.sleep(0.01)
                    call(session, "select pyengine.resume_queue('both')")
                time.sleep(0.01)

    def _count(self, answers: list[Any]) -> None:
        self.refusals += sum(refusal == "PE429" for _, refusal in answers)
