"""Who owns a workflow is decided once, in whatever order two sessions meet."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from pyengine import schema
from tests.races.conftest import Duel, call

pytestmark = pytest.mark.race


def record(session: psycopg.Connection[Any], token: object, workflow_id: str = "w") -> list[Any]:
    document = {
        "workflow_id": workflow_id,
        "lease_token": str(token),
        "step_id": 1,
        "name": "s",
        "serialization": "json",
        "output": 1,
    }
    text = "select refusal, output from pyengine.record_steps(requests => %s)"
    return call(session, text, json.dumps([document]))


def finish(session: psycopg.Connection[Any], token: object) -> list[Any]:
    document = {"workflow_id": "w", "lease_token": str(token), "serialization": "json", "output": 1}
    text = "select refusal from pyengine.finish_workflows(requests => %s)"
    return call(session, text, json.dumps([document]))


def cancel(session: psycopg.Connection[Any]) -> list[Any]:
    return call(session, "select pyengine.cancel_workflows(workflow_ids => array['w'])")


def tick(session: psycopg.Connection[Any], executor: int) -> bool:
    """A heartbeat: whether the executor is alive."""
    text = "select is_alive from pyengine.tick_executor(executor_id => %s, heartbeat_seconds => 0)"
    return bool(call(session, text, executor)[0][0])


def expire(duel: Duel, executor: int) -> None:
    duel.look.execute(
        "update pyengine.executors set heartbeat_at = heartbeat_at - interval '1 hour', "
        "lease_duration = interval '1 microsecond' where executor_id = %s",
        [executor],
    )


def test_two_claims_never_hand_out_one_workflow(duel: Duel) -> None:
    one, two = duel.register("one"), duel.register("two")
    for number in range(6):
        duel.start(duel.look, f"w{number}")

    mine = duel.claim(duel.first, one, limit=3)
    yours = duel.claim(duel.second, two)
    duel.first.commit()
    duel.second.commit()

    assert len(mine) == 3
    assert sorted(mine + yours) == [f"w{number}" for number in range(6)]


def test_claims_that_are_rolled_back_leave_the_workflow_to_others(duel: Duel) -> None:
    one, two = duel.register("one"), duel.register("two")
    duel.start(duel.look, "w")

    assert duel.claim(duel.first, one) == ["w"]
    duel.first.rollback()

    assert duel.claim(duel.second, two) == ["w"]
    duel.second.commit()
    assert duel.row("w", "executor_id, attempt_count") == (two, 1)


def test_a_checkpoint_that_waits_for_a_takeover_is_refused(duel: Duel) -> None:
    old = uuid.uuid4()
    duel.start(duel.look, "w", old, duel.register())
    call(duel.first, "select pyengine.resume_workflows(workflow_ids => array['w'])")

    late = duel.blocked(lambda: record(duel.second, old))
    duel.first.commit()

    assert late.result() == [("PE001", None)]
    duel.second.commit()
    assert duel.look.execute("select count(*) from pyengine.steps").fetchall() == [(0,)]


def test_a_takeover_passes_over_a_workflow_whose_checkpoint_is_being_stored(duel: Duel) -> None:
    token, dead, heir = uuid.uuid4(), duel.register("dead"), duel.register("heir")
    duel.start(duel.look, "w", token, dead)
    assert record(duel.first, token) == []
    expire(duel, dead)

    tick(duel.second, heir)
    duel.second.commit()
    assert duel.row("w") == ("PENDING",)
    duel.first.commit()
    tick(duel.second, heir)
    duel.second.commit()

    assert duel.row("w") == ("ENQUEUED",)
    assert duel.look.execute("select count(*) from pyengine.steps").fetchall() == [(1,)]
    assert record(duel.look, token) == [("PE001", None)]


def test_an_outcome_that_waits_for_a_cancellation_is_refused(duel: Duel) -> None:
    token = uuid.uuid4()
    duel.start(duel.look, "w", token, duel.register())
    assert cancel(duel.first) == [("w",)]

    late = duel.blocked(lambda: finish(duel.second, token))
    duel.first.commit()

    assert late.result() == [("PE002",)]
    duel.second.commit()
    assert duel.row("w") == ("CANCELLED",)


def test_a_cancellation_that_waits_for_an_outcome_changes_nothing(duel: Duel) -> None:
    token = uuid.uuid4()
    duel.start(duel.look, "w", token, duel.register())
    assert finish(duel.first, token) == []

    late = duel.blocked(lambda: cancel(duel.second))
    duel.first.commit()

    assert late.result() == []
    duel.second.commit()
    assert duel.row("w", "status, output") == ("SUCCESS", 1)


def test_a_repeated_claim_waits_for_the_first_and_answers_the_same(duel: Duel) -> None:
    one, token = duel.register("one"), uuid.uuid4()
    for number in range(2):
        duel.start(duel.look, f"w{number}")
    text = "select workflow_id from pyengine.claim_workflows(executor_id => %s, lease_token => %s, claim_limit => 1)"
    first = call(duel.first, text, one, token)

    again = duel.blocked(lambda: call(duel.second, text, one, token))
    duel.first.commit()

    assert again.result() == first
    duel.second.commit()
    running = "select count(*) from pyengine.workflows where status = 'PENDING'"
    assert call(duel.look, running) == [(1,)]


def test_a_process_whose_session_is_gone_has_a_second_to_come_back(duel: Duel) -> None:
    lost, other = duel.register("lost"), duel.register("other")
    with psycopg.connect(duel.url, autocommit=True) as session:
        pid = session.info.backend_pid
    duel.look.execute(
        "update pyengine.executors set session_pid = %s, session_at = now() where executor_id = %s",
        [pid, lost],
    )
    ended = "select finish_reason from pyengine.executors where executor_id = %s"

    tick(duel.look, other)
    assert call(duel.look, ended, lost) == [(None,)]

    duel.look.execute("update pyengine.executors set session_lost_at = now() - interval '2 s'")
    tick(duel.look, other)
    assert call(duel.look, ended, lost) == [("session lost",)]


def test_a_schedule_that_somebody_fires_is_passed_over(duel: Duel) -> None:
    one, two = duel.register("one"), duel.register("two")
    duel.look.execute("select from pyengine.create_schedule('s', 'f', '0 3 * * *')")
    duel.look.execute(
        "update pyengine.schedules set upcoming = array['2001-01-01T03:00:00+00:00'], catch_up = 'all', "
        "next_due_at = now(), planned_until = now() + interval '1 hour', plan_at = now() + interval '1 hour'"
    )
    fire = "select pyengine.fire_schedules(%s) = 0"

    assert call(duel.first, fire, one) == [(True,)]
    assert call(duel.second, fire, two) != [(True,)]
    duel.first.commit()
    duel.second.commit()

    assert call(duel.look, "select count(*) from pyengine.workflows") == [(1,)]


def test_a_claim_that_waits_for_a_queue_to_be_paused_takes_nothing_from_it(duel: Duel) -> None:
    one = duel.register("one")
    duel.look.execute("select from pyengine.register_queue('q', concurrency => 1)")
    document = {"workflow_id": "w", "name": "f", "serialization": "json", "inputs": {}}
    queued = json.dumps({**document, "queue_name": "q"})
    duel.look.execute("select from pyengine.start_workflows(requests => %s)", [queued])
    call(duel.first, "select pyengine.pause_queue('q')")

    late = duel.blocked(lambda: duel.claim(duel.second, one))
    duel.first.commit()

    assert late.result() == []
    duel.second.commit()
    assert duel.row("w") == ("ENQUEUED",)


def test_a_heartbeat_that_is_under_way_is_not_reaped(duel: Duel) -> None:
    slow, other = duel.register("slow"), duel.register("other")
    expire(duel, slow)
    duel.first.execute(
        "update pyengine.executors set heartbeat_at = pyengine.now(), lease_duration = '1 hour' "
        "where executor_id = %s",
        [slow],
    )

    assert tick(duel.second, other)
    duel.second.commit()
    duel.first.commit()

    assert tick(duel.look, slow)


def test_a_heartbeat_that_waits_for_the_reaper_learns_that_it_is_dead(duel: Duel) -> None:
    slow, other = duel.register("slow"), duel.register("other")
    expire(duel, slow)
    assert tick(duel.first, other)

    late = duel.blocked(lambda: tick(duel.second, slow))
    duel.first.commit()

    assert late.result() is False
    duel.second.commit()
    assert duel.start(duel.look, "w", uuid.uuid4(), slow) == [("PE003", None)]


def test_what_a_process_started_while_it_died_is_given_back(duel: Duel) -> None:
    dead, other = duel.register("dead"), duel.register("other")
    assert duel.start(duel.first, "w", uuid.uuid4(), dead) == []
    expire(duel, dead)
    tick(duel.look, other)

    duel.first.commit()
    tick(duel.look, other)

    assert duel.row("w") == ("ENQUEUED",)


def test_of_two_starts_of_one_id_one_creates_and_the_other_attaches(duel: Duel) -> None:
    one, two = duel.register("one"), duel.register("two")
    token = uuid.uuid4()
    assert duel.start(duel.first, "w", token, one) == []

    late = duel.blocked(lambda: duel.start(duel.second, "w", uuid.uuid4(), two))
    duel.first.commit()

    assert late.result() == [(None, "PENDING")]
    duel.second.commit()
    assert duel.row("w", "executor_id, lease_token") == (one, token)


def test_a_start_that_is_rolled_back_leaves_the_id_to_the_other(duel: Duel) -> None:
    one, two = duel.register("one"), duel.register("two")
    assert duel.start(duel.first, "w", uuid.uuid4(), one) == []

    late = duel.blocked(lambda: duel.start(duel.second, "w", uuid.uuid4(), two))
    duel.first.rollback()

    assert late.result() == []
    duel.second.commit()
    assert duel.row("w", "executor_id") == (two,)


def test_processes_that_launch_at_once_agree_on_one_schema(engine_url: str) -> None:
    name = "race_launch"

    def launch(_: int) -> None:
        with psycopg.connect(engine_url, autocommit=True) as connection:
            schema.migrate(connection, schema=name)
            schema.verify(connection, name)

    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(launch, range(4)))
        with psycopg.connect(engine_url, autocommit=True) as connection:
            found = connection.execute(
                f"select count(*) = count(distinct version) from {name}.schema_migrations"
            )
            assert found.fetchall() == [(True,)]
    finally:
        with psycopg.connect(engine_url, autocommit=True) as connection:
            connection.execute(f"drop schema if exists {name} cascade")


def start_child(session: psycopg.Connection[Any], token: object) -> list[Any]:
    document = {
        "workflow_id": "child",
        "name": "f",
        "serialization": "json",
        "inputs": {},
        "parent_workflow_id": "w",
        "parent_lease_token": str(token),
        "parent_step_id": 1,
        "step_name": "f",
    }
    text = "select refusal from pyengine.start_workflows(requests => %s)"
    return call(session, text, json.dumps([document]))


def cancel_family(session: psycopg.Connection[Any]) -> list[str]:
    text = "select pyengine.cancel_workflows(workflow_ids => array['w'], cancel_children => true)"
    return sorted(row[0] for row in call(session, text))


def test_a_child_that_is_started_meanwhile_is_cancelled_with_its_parent(duel: Duel) -> None:
    token, executor = uuid.uuid4(), duel.register()
    duel.start(duel.look, "w", token, executor)

    assert start_child(duel.first, token) == []
    cancelled = duel.blocked(lambda: cancel_family(duel.second))
    duel.first.commit()

    assert cancelled.result(10) == ["child", "w"]
    duel.second.commit()


def test_a_run_whose_family_is_cancelled_starts_no_further_child(duel: Duel) -> None:
    token, executor = uuid.uuid4(), duel.register()
    duel.start(duel.look, "w", token, executor)

    assert cancel_family(duel.first) == ["w"]
    started = duel.blocked(lambda: start_child(duel.second, token))
    duel.first.commit()

    assert started.result(10) == [("PE002",)]
    duel.second.commit()
    found = duel.look.execute("select workflow_id, status from pyengine.workflows").fetchall()
    assert found == [("w", "CANCELLED")]
