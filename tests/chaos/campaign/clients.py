"""Clients: they start work, cancel some, ask for results, and note what they were told."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

from pyengine import DBOSClient
from pyengine.error import DBOSException
from tests.chaos.campaign import workload
from tests.chaos.campaign.journal import Journal

Request = tuple[Any, tuple[Any, ...]]


def ordinary(rng: random.Random, workflow_id: str) -> Request:
    """A journey, or a job on a queue with a limit."""
    if rng.random() < 0.4:
        name = rng.choice(("journey", "journey_async"))
        return {"workflow_name": name, "queue_name": "journeys"}, (workflow_id,)
    queue = rng.choice(workload.LIMITED)
    options: dict[str, Any] = {"workflow_name": "job", "queue_name": queue}
    if queue == "keyed":
        options["queue_partition_key"] = rng.choice(workload.KEYS)
    elif rng.random() < 0.3:
        options["priority"] = rng.randint(1, 5)
    if rng.random() < 0.05:
        options["delay_seconds"] = rng.random()
    return options, (workflow_id,)


class Clients:
    """One thread that starts work as long as not too much is waiting, and one that watches."""

    def __init__(
        self,
        url: Callable[[], str],
        journal: Journal,
        seed: int,
        *,
        backlog: int = 120,
        request: Callable[[random.Random, str], Request] = ordinary,
    ) -> None:
        self._url = url
        self._journal = journal
        self._seed = seed
        self._backlog = backlog
        self._request = request
        self._stop = threading.Event()
        self.failures: list[BaseException] = []
        self.started: list[tuple[str, str]] = []
        self.count = 0
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), daemon=True)
            for work in (self._start_work, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let them end what they are doing."""
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
        if self.failures:
            raise self.failures[0]

    def _guard(self, work: Callable[[DBOSClient, random.Random], None]) -> None:
        try:
            client = DBOSClient(
                system_database_url=self._url(), application_name="campaign", lazy=True
            )
            with client:
                work(client, random.Random(f"{self._seed} {work.__name__}"))
        except BaseException as error:
            self.failures.append(error)

    def _start_work(self, client: DBOSClient, rng: random.Random) -> None:
        while not self._stop.is_set():
            if self._waiting() >= self._backlog:
                self._stop.wait(0.1)
                continue
            for _ in range(20):
                self.count += 1
                workflow_id = f"w{self._seed}-{self.count}"
                options, arguments = self._request(rng, workflow_id)
                options.setdefault("workflow_id", workflow_id)
                self._op(
                    "enqueue", options["workflow_id"], options["queue_name"], arguments[0],
                    partial(client.enqueue, options, *arguments),
                )  # fmt: skip
                self.started.append((options["workflow_id"], options["workflow_name"]))

    def _watch(self, client: DBOSClient, rng: random.Random) -> None:
        """Cancels some jobs, and asks for the results of some journeys."""
        while not self._stop.wait(0.05):
            if not self.started:
                continue
            workflow_id, name = rng.choice(self.started[-200:])
            if name == "job" and rng.random() < 0.3:
                self._op(
                    "cancel", workflow_id, None, None, partial(client.cancel_workflow, workflow_id)
                )
            elif name.startswith("journey"):
                self._op(
                    "result", workflow_id, None, None, partial(self._result, client, workflow_id)
                )

    def _result(self, client: DBOSClient, workflow_id: str) -> Any:
        handle: Any = client.retrieve_workflow(workflow_id)
        return handle.get_result() if handle.get_status().status == "SUCCESS" else _NOT_YET

    def _op(
        self, op: str, workflow_id: str, queue: str | None, value: Any, do: Callable[[], Any]
    ) -> None:
        sent = time.time()
        try:
            answer = do()
            outcome = "not yet" if answer is _NOT_YET else "ok"
            if op == "result" and outcome == "ok":
                value = json.dumps(answer)
        except (DBOSException, psycopg.Error) as error:
            outcome, value = "info", type(error).__name__
        self._journal.note(
            "op", op=op, workflow_id=workflow_id, queue=queue, outcome=outcome, value=value, sent_at=sent
        )  # fmt: skip

    def _waiting(self) -> int:
        query = "select count(*) from pyengine.workflows where status in ('ENQUEUED', 'DELAYED', 'PENDING')"
        try:
            with psycopg.connect(self._url(), autocommit=True) as session:
                return int(session.execute(query).fetchall()[0][0])
        except (
            psycopg.Error
        ):  # the server is away: what happens to an enqueue then is what we want to know
            return 0


_NOT_YET = object()
