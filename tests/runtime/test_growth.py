"""What grows with the work stays in proportion: recovery in bulk, replay in one answer."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from pyengine import DBOS, Queue
from pyengine.database.session import Session as ServerSession
from tests.queues.arena import Session

growth = Queue("growth")

STEPS = 10_000
reached = threading.Event()
executed: list[int] = []


@DBOS.step()
def noted(number: int) -> int:
    executed.append(number)
    if number > STEPS:
        reached.set()
    return number


@DBOS.workflow()
def many_steps(count: int) -> int:
    return sum(noted(number) for number in range(1, count + 1))


@DBOS.workflow()
def nothing() -> None:
    """Nothing to do."""


def test_the_work_of_a_dead_process_is_recovered_in_bulk(
    dbos: type[DBOS], sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    execute = ServerSession.execute

    def count(session: ServerSession, text: str, parameters: Any) -> Any:
        sent.append(text)
        return execute(session, text, parameters)

    monkeypatch.setattr(ServerSession, "execute", count)
    sql.execute(
        """with dead as (
               insert into pyengine.executors (name, application_name, application_version, version_is_pinned,
                   functions, channel, lease_duration, started_at, heartbeat_at)
               values ('dead', 'test-app', '1', false, '{nothing}', 'dead', interval '1 second',
                   now() - interval '1 hour', now() - interval '1 hour')
               returning executor_id
           )
           insert into pyengine.workflows (workflow_id, status, name, application_name, executor_id, executor_name,
               lease_token, attempt_count, created_at, updated_at, started_at, serialization, inputs)
           select 'w' || i, 'PENDING', 'nothing', 'test-app', d.executor_id, 'dead', gen_random_uuid(), 1,
               now(), now(), now(), 'json', '{"positionalArgs": [], "namedArgs": {}}'
           from dead d, generate_series(1, 1000) i"""
    )

    for number in range(1, 1001):
        handle: Any = DBOS.retrieve_workflow(f"w{number}")
        assert handle.get_result() is None

    claims = [text for text in sent if "claim_workflows" in text]
    assert len(claims) <= 40
    attempts = sql.execute("select min(attempt_count), max(attempt_count) from pyengine.workflows")
    assert attempts.fetchone() == (2, 2)


@pytest.mark.slow
def test_ten_thousand_steps_are_replayed_within_a_second_of_work(
    dbos: type[DBOS], sql: Session
) -> None:
    sql.execute(
        """insert into pyengine.steps
               (workflow_id, step_id, name, attempt, started_at, completed_at, serialization, output)
           select 'long', i, 'noted', 1, now(), now(), 'json', i::text::json from generate_series(1, %s) i""",
        (STEPS,),
    )
    DBOS.pause_queue(growth.name)
    sql.execute(
        """insert into pyengine.workflows (workflow_id, status, name, queue_name, attempt_count,
               created_at, updated_at, serialization, inputs)
           values ('long', 'ENQUEUED', 'many_steps', 'growth', 1, now(), now(), 'json', %s)""",
        (f'{{"positionalArgs": [{STEPS + 1}], "namedArgs": {{}}}}',),
    )
    worked = time.process_time()

    DBOS.resume_queue(growth.name)
    assert reached.wait(30)

    worked = time.process_time() - worked
    print(f"replayed {STEPS} steps with {worked:.2f} s of processor time")
    assert executed == [STEPS + 1]
    assert worked < 1
