"""What ends a hibernation is never missed, whoever of the two is first; nothing else of the rows is lost."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.races.conftest import Duel, call

pytestmark = pytest.mark.race


class Park:
    """A leased workflow, and what it may wait for."""

    def __init__(self, duel: Duel, workflow_id: str = "w", **keys: Any) -> None:
        self.duel = duel
        self.workflow_id = workflow_id
        self.token = uuid.uuid4()
        self.executor = duel.register(f"runs {workflow_id}")
        duel.start(duel.look, workflow_id, self.token, self.executor)

    def hibernate(self, session: psycopg.Connection[Any], *waits: dict[str, str]) -> bool:
        """Ask to hibernate until one of the waits is over."""
        text = (
            "select pyengine.hibernate_workflow(workflow_id => %s, lease_token => %s, waits => %s)"
        )
        return bool(call(session, text, self.workflow_id, self.token, json.dumps(waits))[0][0])

    def finish(self, session: psycopg.Connection[Any]) -> list[Any]:
        """End it with an output: the refusals."""
        document = {
            "workflow_id": self.workflow_id,
            "lease_token": str(self.token),
            "serialization": "json",
            "output": 1,
        }
        text = "select refusal from pyengine.finish_workflows(requests => %s)"
        return call(session, text, json.dumps([document]))

    def set_event(self, session: psycopg.Connection[Any]) -> None:
        """Publish the event `key`."""
        call(
            session,
            "select pyengine.set_event(workflow_id => %s, lease_token => %s, step_id => 1, key => 'key', "
            "serialization => 'json', value => '1', step_name => 'DBOS.setEvent')",
            self.workflow_id,
            self.token,
        )

    def append(self, session: psycopg.Connection[Any]) -> None:
        """Append to the stream `key`."""
        document = {
            "workflow_id": self.workflow_id,
            "lease_token": str(self.token),
            "step_id": 1,
            "key": "key",
            "serialization": "json",
            "value": 1,
        }
        text = "select 1 from pyengine.append_streams(requests => %s)"
        assert call(session, text, json.dumps([document])) == []


def send(session: psycopg.Connection[Any], destination: str = "w") -> None:
    document = {"destination_id": destination, "message": 1, "serialization": "json"}
    text = "select 1 from pyengine.send_messages(messages => %s)"
    call(session, text, json.dumps([document]))


def hibernations(duel: Duel) -> list[Any]:
    """What is waited for, and whether it is due."""
    text = "select kind, due_at is not null from pyengine.hibernations order by kind"
    return call(duel.look, text)


WAITS = {
    "message": {"kind": "message", "id": "w", "name": ""},
    "event": {"kind": "event", "id": "source", "name": "key"},
    "stream": {"kind": "stream", "id": "source", "name": "key", "position": "0"},
    "result": {"kind": "result", "id": "source"},
}


def come_true(kind: str, source: Park, session: psycopg.Connection[Any]) -> None:
    """Make the wait of a kind come true."""
    if kind == "message":
        send(session)
    elif kind == "event":
        source.set_event(session)
    elif kind == "stream":
        source.append(session)
    else:
        assert source.finish(session) == []


@pytest.fixture(params=list(WAITS))
def kind(request: pytest.FixtureRequest) -> str:
    """What is waited for."""
    return str(request.param)


def test_who_makes_a_wait_come_true_during_the_hibernation_is_held_up_and_then_ends_it(
    duel: Duel, kind: str
) -> None:
    sleeper, source = Park(duel), Park(duel, "source")
    assert sleeper.hibernate(duel.first, WAITS[kind])

    late = duel.blocked(lambda: come_true(kind, source, duel.second))
    duel.first.commit()
    late.result()
    duel.second.commit()

    assert hibernations(duel) == [(kind, True)]
    assert duel.claim(duel.look, sleeper.executor) == ["w"]
    assert hibernations(duel) == []


def test_nothing_hibernates_while_its_wait_is_coming_true(duel: Duel, kind: str) -> None:
    sleeper, source = Park(duel), Park(duel, "source")
    come_true(kind, source, duel.first)

    assert not sleeper.hibernate(duel.second, WAITS[kind])
    duel.first.commit()

    assert not sleeper.hibernate(duel.second, WAITS[kind])
    duel.second.commit()
    assert duel.row("w", "status, lease_token") == ("PENDING", sleeper.token)
    assert hibernations(duel) == []


def test_nothing_hibernates_for_a_workflow_that_does_not_exist_yet(duel: Duel) -> None:
    sleeper = Park(duel)

    assert not sleeper.hibernate(duel.look, {"kind": "result", "id": "unknown"})


def test_a_hibernated_workflow_belongs_to_nobody_and_goes_on_with_its_attempt(duel: Duel) -> None:
    sleeper = Park(duel)
    assert sleeper.hibernate(duel.look, WAITS["message"])

    assert duel.row("w", "status, lease_token, executor_id, attempt_count") == (
        "PENDING",
        None,
        None,
        1,
    )
    assert duel.claim(duel.look, sleeper.executor) == []
    assert sleeper.finish(duel.look) == [("PE001",)]

    send(duel.look)
    assert duel.claim(duel.look, sleeper.executor) == ["w"]
    assert duel.row("w", "status, executor_id, attempt_count") == ("PENDING", sleeper.executor, 1)


def test_two_claims_never_resume_one_workflow(duel: Duel) -> None:
    sleeper, other = Park(duel), duel.register("other")
    assert sleeper.hibernate(duel.look, WAITS["message"])
    send(duel.look)

    assert duel.claim(duel.first, sleeper.executor) == ["w"]
    assert duel.claim(duel.second, other) == []
    duel.first.rollback()
    duel.second.rollback()
    assert duel.claim(duel.second, other) == ["w"]
    duel.second.commit()


def test_a_claim_does_not_wait_for_who_has_not_committed_yet_and_loses_no_second_wake_up(
    duel: Duel,
) -> None:
    sleeper, source = Park(duel), Park(duel, "source")
    assert sleeper.hibernate(duel.look, WAITS["message"], WAITS["event"])
    send(duel.look)
    source.set_event(duel.first)

    assert duel.claim(duel.look, sleeper.executor) == ["w"]
    duel.first.commit()
    assert hibernations(duel) == [("event", True)]

    assert duel.claim(duel.look, sleeper.executor) == []
    duel.look.execute("update pyengine.hibernations set due_at = now() - interval '1 minute'")
    duel.look.execute("select pyengine._drop_stale_hibernations()")
    assert hibernations(duel) == []
    assert duel.row("w") == ("PENDING",)


@pytest.mark.parametrize("operation", ["cancel_workflows", "resume_workflows"])
def test_cancel_and_resume_end_a_hibernation(duel: Duel, operation: str) -> None:
    sleeper, source = Park(duel), Park(duel, "source")
    assert sleeper.hibernate(duel.look, WAITS["message"], WAITS["event"])

    text = f"select pyengine.{operation}(workflow_ids => array['w'])"
    assert call(duel.look, text) == [("w",)]
    assert hibernations(duel) == []
    source.set_event(duel.look)

    claimed = duel.claim(duel.look, sleeper.executor)
    assert claimed == (["w"] if operation == "resume_workflows" else [])


def test_the_last_attempt_may_hibernate(duel: Duel) -> None:
    sleeper = Park(duel)
    duel.look.execute("update pyengine.workflows set max_attempts = 1 where workflow_id = 'w'")
    assert sleeper.hibernate(duel.look, WAITS["message"])
    send(duel.look)

    assert duel.claim(duel.look, sleeper.executor) == ["w"]


def test_the_end_of_its_executor_does_not_touch_a_hibernated_workflow(duel: Duel) -> None:
    sleeper, heir = Park(duel), duel.register("heir")
    assert sleeper.hibernate(duel.look, WAITS["message"])

    call(duel.look, "select pyengine.leave_executor(executor_id => %s)", sleeper.executor)

    assert duel.row("w") == ("PENDING",)
    assert duel.claim(duel.look, heir) == []


def test_a_hibernation_that_nothing_would_end_is_refused(duel: Duel) -> None:
    sleeper = Park(duel)

    with pytest.raises(psycopg.Error, match="nothing would end") as refused:
        sleeper.hibernate(duel.look)
    assert refused.value.sqlstate == "PE400"


def test_under_an_older_snapshot_nobody_hibernates(duel: Duel) -> None:
    waits, source = Park(duel, "w"), {"kind": "result", "id": "s"}
    Park(duel, "s")
    duel.first.execute("set transaction isolation level repeatable read")

    assert waits.hibernate(duel.first, source) is False
    duel.first.rollback()

    assert waits.hibernate(duel.look, source) is True
