"""Deadlines: from where they come, and that they hold wherever a workflow is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetEnqueueOptions, SetWorkflowID, SetWorkflowTimeout
from pyengine.current import get_runtime
from pyengine.error import DBOSAwaitedWorkflowCancelledError, DBOSException
from tests.workflows.support import Gate, eventually, pending_elsewhere

Session = psycopg.Connection[Any]

paused = Queue("paused-for-deadlines")
open_queue = Queue("open-for-deadlines")

FIRES_WITHIN_SECONDS = 2.0


class _Gates:
    running: Gate


@DBOS.workflow()
def waits() -> Any:
    return DBOS.recv("mail", timeout_seconds=600)


@DBOS.workflow()
def runs_through_steps() -> None:
    while True:
        DBOS.run_step({"name": "nap"}, time.sleep, 0.02)


@DBOS.workflow()
def asks_for_its_child() -> str:
    child = DBOS.start_workflow(waits)
    try:
        child.get_result()
    except DBOSAwaitedWorkflowCancelledError:
        return "the child was cancelled"
    return "the child ended"


@DBOS.workflow()
def starts(how: str) -> str:
    if how == "called":
        return DBOS.start_workflow(quick).workflow_id
    if how == "queued":
        return open_queue.enqueue(quick).workflow_id
    with SetWorkflowTimeout(None if how == "without" else 500):
        return DBOS.start_workflow(quick).workflow_id


@DBOS.workflow()
def quick() -> None:
    return None


@DBOS.workflow()
def passes_a_gate() -> str:
    _Gates.running.pass_through()
    return "done"


def times(sql: Session, workflow_id: str) -> tuple[float | None, float | None]:
    """Its timeout, and how long after its start its deadline is, in seconds."""
    row = sql.execute(
        "select extract(epoch from timeout)::float, extract(epoch from deadline_at - started_at)::float "
        "from pyengine.workflows where workflow_id = %s",
        [workflow_id],
    ).fetchall()
    timeout, deadline = row[0]
    return timeout, None if deadline is None else round(deadline, 1)


def overdue(sql: Session, workflow_id: str) -> None:
    """Its deadline is now."""
    sql.execute(
        "update pyengine.workflows set deadline_at = pyengine.now() where workflow_id = %s",
        [workflow_id],
    )


def running(sql: Session) -> str:
    handle = DBOS.start_workflow(runs_through_steps)
    eventually(lambda: DBOS.list_workflow_steps(handle.workflow_id))
    return handle.workflow_id


def queued(sql: Session) -> str:
    DBOS.pause_queue(paused.name)
    return paused.enqueue(quick).workflow_id


def delayed(sql: Session) -> str:
    with SetEnqueueOptions(delay_seconds=600):
        return open_queue.enqueue(quick).workflow_id


def waiting(sql: Session) -> str:
    return DBOS.start_workflow(waits).workflow_id


def elsewhere(sql: Session) -> str:
    pending_elsewhere(sql, "elsewhere", "quick")
    return "elsewhere"


def hibernated(sql: Session) -> str:
    with SetWorkflowID("hibernated"):
        DBOS.start_workflow(waits)
    eventually(lambda: len(DBOS.list_workflow_steps("hibernated")) == 1)
    sql.execute(
        "select pyengine.hibernate_workflow(workflow_id => w.workflow_id, lease_token => w.lease_token, "
        "timer_step_id => 2) from pyengine.workflows w"
    )
    state = sql.execute("select status, lease_token from pyengine.workflows").fetchall()
    assert state == [("PENDING", None)]
    return "hibernated"


@pytest.mark.parametrize("where", [running, queued, delayed, waiting, elsewhere, hibernated])
def test_a_deadline_holds_wherever_the_workflow_is(
    dbos: type[DBOS], sql: Session, where: Callable[[Session], str]
) -> None:
    workflow_id = where(sql)

    overdue(sql, workflow_id)
    began = time.monotonic()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        DBOS.get_result(workflow_id)

    assert time.monotonic() - began < FIRES_WITHIN_SECONDS
    if where is not elsewhere:
        eventually(lambda: len(get_runtime("test").engine.runs) == 0)


def test_who_waits_for_the_child_learns_it(dbos: type[DBOS], sql: Session) -> None:
    with SetWorkflowID("p"):
        handle = DBOS.start_workflow(asks_for_its_child)
    eventually(lambda: DBOS.get_workflow_status("p-1"))

    overdue(sql, "p-1")

    assert handle.get_result() == "the child was cancelled"


def test_a_timeout_is_a_deadline_after_the_start(dbos: type[DBOS], sql: Session) -> None:
    with SetWorkflowTimeout(100), SetWorkflowID("w"):
        quick()

    assert times(sql, "w") == (100, 100)


def test_time_in_a_queue_does_not_count(dbos: type[DBOS], sql: Session) -> None:
    DBOS.pause_queue(paused.name)
    with SetWorkflowTimeout(100), SetWorkflowID("w"):
        handle = paused.enqueue(quick)
    assert handle.get_status().workflow_deadline_epoch_ms is None

    DBOS.resume_queue(paused.name)
    handle.get_result()

    assert times(sql, "w") == (100, 100)


@pytest.mark.parametrize("timeout", [None, 0])
def test_no_timeout_is_none(dbos: type[DBOS], sql: Session, timeout: float | None) -> None:
    with SetWorkflowTimeout(50), SetWorkflowTimeout(timeout), SetWorkflowID("w"):
        quick()

    assert times(sql, "w") == (None, None)


@pytest.mark.parametrize(
    ("how", "inherits", "timeout"),
    [("called", True, None), ("queued", True, None), ("without", False, None), ("own", False, 500)],
)
def test_a_child_has_the_deadline_of_its_parent_or_its_own(
    dbos: type[DBOS], sql: Session, how: str, inherits: bool, timeout: float | None
) -> None:
    with SetWorkflowTimeout(100), SetWorkflowID("w"):
        child = starts(how)
    DBOS.get_result(child)

    parent_deadline = DBOS.get_workflow_status("w").workflow_deadline_epoch_ms  # type: ignore[union-attr]
    child_deadline = DBOS.get_workflow_status(child).workflow_deadline_epoch_ms  # type: ignore[union-attr]

    assert (child_deadline == parent_deadline) == inherits
    assert times(sql, child)[0] == timeout
    assert (child_deadline is None) == (how == "without")


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_timeout_that_can_not_be_is_refused(seconds: float) -> None:
    with pytest.raises(DBOSException, match="finite and not negative"):
        SetWorkflowTimeout(seconds)


def test_a_resumed_workflow_has_its_whole_time_again(dbos: type[DBOS], sql: Session) -> None:
    with SetWorkflowTimeout(100), SetWorkflowID("w"):
        handle = DBOS.start_workflow(waits)
    overdue(sql, "w")
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()

    DBOS.resume_workflow("w")
    eventually(lambda: handle.get_status().status == "PENDING")

    assert times(sql, "w") == (100, 100)


def test_what_became_overdue_while_nobody_lived_does_not_run(
    launch: Callable[..., None], sql: Session
) -> None:
    sql.execute(
        "insert into pyengine.workflows (workflow_id, status, name, application_name, created_at, updated_at, "
        "deadline_at, serialization, inputs) values ('w', 'ENQUEUED', 'quick', 'test-app', now(), now(), 'epoch', "
        """'json', '{"positionalArgs":[],"namedArgs":{}}')"""
    )

    launch()

    assert sql.execute("select status, started_at from pyengine.workflows").fetchall() == [
        ("CANCELLED", None)
    ]


def test_a_row_that_somebody_holds_is_cancelled_when_it_is_free(
    dbos: type[DBOS], sql: Session, engine_url: str
) -> None:
    workflow_id = queued(sql)
    other = queued(sql)
    with psycopg.connect(engine_url) as holder:
        holder.execute(
            "select 1 from pyengine.workflows where workflow_id = %s for update", [other]
        )
        overdue(sql, workflow_id)
        eventually(lambda: DBOS.list_workflows(status="CANCELLED"))
        holder.execute(
            "update pyengine.workflows set deadline_at = pyengine.now() where workflow_id = %s",
            [other],
        )

    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        DBOS.get_result(other)


def be_overdue(sql: Session, workflow_id: str, status: str, deadline: str) -> None:
    """A workflow whose deadline was then."""
    sql.execute(
        "insert into pyengine.workflows (workflow_id, status, name, created_at, updated_at, finished_at, deadline_at, "
        "serialization, inputs) values (%s, %s, 'f', now(), now(), case when %s = 'SUCCESS' then now() end, %s, "
        "'json', '{}')",
        [workflow_id, status, status, deadline],
    )


def test_what_somebody_has_locked_keeps_nobody_elses_deadline_up(
    sql: Session, engine_url: str
) -> None:
    be_overdue(sql, "locked", "ENQUEUED", "1999-01-01")
    be_overdue(sql, "free", "ENQUEUED", "1999-01-02")
    with psycopg.connect(engine_url) as stranger:
        stranger.execute("select from pyengine.workflows where workflow_id = 'locked' for update")
        sql.execute("set lock_timeout = '5s'")
        first = sql.execute("select pyengine._cancel_overdue(100)").fetchall()
    sql.execute("reset lock_timeout")

    later = sql.execute("select pyengine._cancel_overdue(100)").fetchall()

    assert (first, later) == ([(1,)], [(1,)])


def test_those_that_have_ended_take_no_place_among_the_overdue(sql: Session) -> None:
    for number in range(3):
        be_overdue(sql, f"ended-{number}", "SUCCESS", "1999-01-01")
    be_overdue(sql, "waits", "ENQUEUED", "1999-01-02")

    assert sql.execute("select pyengine._cancel_overdue(1)").fetchall() == [(1,)]

    ends = "select count(*) from pyengine.workflows where status = 'CANCELLED' and workflow_id = 'waits'"
    assert sql.execute(ends).fetchall() == [(1,)]


def test_the_overdue_are_found_by_their_index(sql: Session) -> None:
    sql.execute(
        "insert into pyengine.workflows (workflow_id, status, name, created_at, updated_at, finished_at, deadline_at, "
        "serialization, inputs) select n::text, 'SUCCESS', 'f', now(), now(), now(), 'epoch', 'json', '{}' "
        "from generate_series(1, 5000) n"
    )
    sql.execute("analyze pyengine.workflows")

    plan = sql.execute(
        "explain (costs off) select w.workflow_id from pyengine.workflows w "
        "where w.deadline_at <= pyengine.now() and w.finished_at is null order by w.deadline_at limit 1000"
    ).fetchall()

    assert any("workflows_deadline_idx" in line for (line,) in plan), plan


def test_a_run_that_was_stored_and_never_began_is_given_back(
    dbos: type[DBOS], sql: Session
) -> None:
    """As after a Ctrl-C exactly between a stored start and its first line."""
    _Gates.running = Gate()
    busy = DBOS.start_workflow(passes_a_gate)
    _Gates.running.reached.wait()
    executor = get_runtime("test").engine.executor_id
    sql.execute(
        "insert into pyengine.workflows (workflow_id, status, name, application_name, executor_id, lease_token, "
        "attempt_count, created_at, updated_at, started_at, serialization, inputs) values ('stray', 'PENDING', "
        "'quick', 'test-app', %s, gen_random_uuid(), 1, now(), now(), now() - interval '11 seconds', 'json', "
        """'{"positionalArgs":[],"namedArgs":{}}')""",
        [executor],
    )
    sql.execute("update pyengine.executors set heartbeat_at = now() - interval '4 seconds'")

    assert DBOS.get_result("stray") is None
    assert busy.get_status().status == "PENDING"
    assert busy.get_status().recovery_attempts == 1
    _Gates.running.open.set()
    assert busy.get_result() == "done"
