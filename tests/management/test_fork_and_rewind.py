"""Forks leave the original as it is; a rewound workflow is as if it had never come further."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowAttributes, SetWorkflowID, SetWorkflowTimeout
from pyengine.error import DBOSConflictError, DBOSException, DBOSNonExistentWorkflowError
from tests.workflows.support import count_workflows, eventually

ran: list[int] = []

# Everything that there is of the workflow w, but that it was forked.
WHOLE = b"""
select (select to_jsonb(o) - 'was_forked_from' from pyengine.workflows o where o.workflow_id = 'w'),
    (select json_agg(s order by s.step_id)::text from pyengine.steps s where s.workflow_id = 'w'),
    (select json_agg(e order by e.key)::text from pyengine.events e where e.workflow_id = 'w'),
    (select json_agg(h order by h.key, h.step_id)::text from pyengine.event_history h where h.workflow_id = 'w'),
    (select json_agg(x order by x.key, x.position)::text from pyengine.streams x where x.workflow_id = 'w'),
    (select json_agg(m)::text from pyengine.messages m where m.destination_id = 'w')
"""


@DBOS.step()
def work(number: int) -> int:
    ran.append(number)
    return number * 10


@DBOS.workflow()
def three(first: int) -> list[int]:
    """Steps 1, 2 and 3."""
    return [work(first), work(first + 1), work(first + 2)]


@DBOS.workflow()
def publishes() -> None:
    DBOS.set_event("state", "begun")  # 1
    DBOS.write_stream("log", "one")  # 2
    DBOS.set_event("state", "ended")  # 3
    DBOS.set_event("late", 1)  # 4
    DBOS.write_stream("log", "two")  # 5
    DBOS.close_stream("log")  # 6


@DBOS.workflow()
def child(number: int) -> int:
    return number


@DBOS.workflow()
def with_child() -> list[int]:
    handle = DBOS.start_workflow(child, 1)  # 1
    return [handle.get_result(), work(1)]  # 2, 3


@DBOS.workflow()
def receives() -> list[Any]:
    return [DBOS.recv("a", timeout_seconds=30), DBOS.recv("a", timeout_seconds=30)]  # 1 and 3


@DBOS.workflow()
def forks(workflow_id: str) -> str:
    return DBOS.fork_workflow(workflow_id, 1).workflow_id


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def run(workflow: Any, *arguments: Any) -> Any:
    with SetWorkflowID("w"):
        return workflow(*arguments)


def test_a_fork_runs_from_its_step_on(dbos: type[DBOS]) -> None:
    run(three, 1)

    fork = DBOS.fork_workflow("w", 3)

    assert fork.get_result() == [10, 20, 30]
    assert ran == [1, 2, 3, 3]
    status = fork.get_status()
    assert (status.forked_from, status.parent_workflow_id, status.app_version) == ("w", None, None)
    assert DBOS.get_workflow_status("w").was_forked_from  # type: ignore[union-attr]


@pytest.mark.parametrize("step", [1, 0, -3])
def test_a_fork_from_the_first_step_repeats_everything(dbos: type[DBOS], step: int) -> None:
    run(three, 1)

    assert DBOS.fork_workflow("w", step).get_result() == [10, 20, 30]

    assert ran == [1, 2, 3, 1, 2, 3]


def test_the_original_stays_as_it_is(dbos: type[DBOS], sql: psycopg.Connection[Any]) -> None:
    run(publishes)
    DBOS.send("w", "unread")
    before = sql.execute(WHOLE).fetchall()

    DBOS.fork_workflow("w", 4).get_result()

    assert sql.execute(WHOLE).fetchall() == before


def test_a_fork_has_the_identity_and_attributes_of_the_original(dbos: type[DBOS]) -> None:
    with SetWorkflowAttributes({"tenant": "a"}), SetWorkflowTimeout(100):
        run(three, 1)

    status = DBOS.fork_workflow(
        "w",
        2,
        queue_name="nobody-serves-this",
        queue_partition_key="k",
        application_version="7",
        timeout_seconds=5,
    ).get_status()

    assert status.attributes == {"tenant": "a"}
    assert status.status == "ENQUEUED"
    assert (status.queue_name, status.queue_partition_key) == ("nobody-serves-this", "k")
    assert (status.app_version, status.workflow_timeout_ms) == ("7", 5000)
    assert status.workflow_deadline_epoch_ms is None
    assert status.input is not None
    assert status.input["args"] == (1,)


def test_a_fork_begins_with_the_events_and_stream_values_of_its_steps(dbos: type[DBOS]) -> None:
    run(publishes)

    copy = DBOS.fork_workflow("w", 3, queue_name="nobody-serves-this").workflow_id

    assert DBOS.get_all_events(copy) == {"state": "begun"}
    assert DBOS.read_stream_offset(copy, "log", 0) == "one"
    whole = DBOS.fork_workflow("w", 7)
    assert whole.get_result() is None
    assert DBOS.get_all_events(whole.workflow_id) == {"state": "ended", "late": 1}
    assert list(DBOS.read_stream(whole.workflow_id, "log")) == ["one", "two"]


def test_a_forks_streams_have_no_gaps(dbos: type[DBOS], sql: psycopg.Connection[Any]) -> None:
    """Steps that ran side by side may have written in another order than their numbers'."""
    run(publishes)
    sql.execute("update pyengine.streams set step_id = 9 where workflow_id = 'w' and position = 0")

    copy = DBOS.fork_workflow("w", 6, queue_name="nobody-serves-this").workflow_id

    positions = (
        "select array_agg(position order by position) from pyengine.streams where workflow_id = %s"
    )
    assert sql.execute(positions, [copy]).fetchall() == [([0],)]
    assert DBOS.read_stream_offset(copy, "log", 0) == "two"


def test_copied_steps_can_name_other_children(dbos: type[DBOS]) -> None:
    run(with_child)
    other = DBOS.start_workflow(child, 7)
    other.get_result()

    fork = DBOS.fork_workflow("w", 2, replacement_children={"w-1": other.workflow_id})

    assert fork.get_result() == [7, 10]
    steps = DBOS.list_workflow_steps(fork.workflow_id)
    assert [step["child_workflow_id"] for step in steps[:2]] == [other.workflow_id] * 2


def test_children_of_later_steps_get_ids_of_the_fork(dbos: type[DBOS]) -> None:
    run(with_child)

    fork = DBOS.fork_workflow("w", 1)

    assert fork.get_result() == [1, 10]
    assert DBOS.get_workflow_status(f"{fork.workflow_id}-1") is not None


def test_a_running_workflow_can_be_forked(dbos: type[DBOS]) -> None:
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(receives)
    DBOS.send("w", "first", "a")
    eventually(lambda: len(DBOS.list_workflow_steps("w")) >= 2)

    fork = DBOS.fork_workflow("w", 3)
    DBOS.send("w", "second", "a")
    DBOS.send(fork.workflow_id, "other", "a")

    assert handle.get_result() == ["first", "second"]
    assert fork.get_result() == ["first", "other"]


def test_a_chosen_id_names_one_fork(dbos: type[DBOS]) -> None:
    run(three, 1)
    with SetWorkflowID("copy"):
        DBOS.fork_workflow("w", 2).get_result()

    with SetWorkflowID("copy"):
        again = DBOS.fork_workflow("w", 2)

    assert again.get_result() == [10, 20, 30]
    assert ran == [1, 2, 3, 2, 3]
    with SetWorkflowID("w"), pytest.raises(DBOSConflictError, match="can't be forked as w"):
        DBOS.fork_workflow("copy", 1)


def test_a_fork_inside_a_workflow_is_one_fork(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    run(three, 1)
    with SetWorkflowID("forking"):
        first = forks("w")
    # As after a crash between the fork and its checkpoint.
    assert DBOS.rewind_workflow("forking").get_result() == first == "forking-1"
    assert count_workflows(sql) == 3


def test_what_does_not_exist_or_fit_is_refused(dbos: type[DBOS]) -> None:
    run(three, 1)
    with pytest.raises(DBOSNonExistentWorkflowError):
        DBOS.fork_workflow("nobody", 1)
    with pytest.raises(DBOSException, match="timeout_seconds is 0"):
        DBOS.fork_workflow("w", 1, timeout_seconds=0)
    with pytest.raises(DBOSException, match="partition_key needs a queue_name"):
        DBOS.fork_workflow("w", 1, queue_partition_key="k")
    with pytest.raises(DBOSNonExistentWorkflowError):
        DBOS.rewind_workflow("nobody")
    with pytest.raises(ValueError, match="start_step is 0"):
        DBOS.rewind_workflow("w", start_step=0)


def test_a_rewound_workflow_runs_from_its_step_on(dbos: type[DBOS]) -> None:
    run(three, 1)

    handle = DBOS.rewind_workflow("w", start_step=2)

    assert handle.get_result() == [10, 20, 30]
    assert ran == [1, 2, 3, 2, 3]
    assert handle.get_status().recovery_attempts == 1


def test_only_what_has_ended_can_be_rewound(dbos: type[DBOS]) -> None:
    with SetWorkflowID("w"):
        DBOS.start_workflow(receives)

    with pytest.raises(DBOSException, match="workflow w is PENDING: only"):
        DBOS.rewind_workflow("w")


def test_what_a_workflow_published_is_taken_back_as_far_as_nobody_can_have_acted_on_it(
    dbos: type[DBOS],
) -> None:
    run(publishes)

    DBOS.rewind_workflow("w", start_step=3, queue_name="nobody-serves-this")

    assert DBOS.get_all_events("w") == {"state": "begun"}
    assert DBOS.read_stream_offset("w", "log", 1) == "two"
    DBOS.resume_workflow("w").get_result()
    assert list(DBOS.read_stream("w", "log")) == ["one", "two", "two"]
    assert DBOS.get_all_events("w") == {"state": "ended", "late": 1}


def test_mail_that_is_taken_back_can_be_sent_again(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(receives)
    for key in ("one", "two", "three"):
        DBOS.send("w", key, "a", idempotency_key=key)
    assert handle.get_result() == ["one", "two"]

    DBOS.rewind_workflow("w", start_step=3)
    for key in ("one", "two"):
        DBOS.send("w", f"again {key}", "a", idempotency_key=key)

    assert handle.get_result() == ["one", "again two"]
    assert sql.execute("select count(*) from pyengine.messages").fetchall() == [(0,)]


def test_async_code_forks_and_rewinds_too(dbos: type[DBOS]) -> None:
    run(three, 1)

    async def main() -> list[Any]:
        fork = await DBOS.fork_workflow_async("w", 3)
        rewound = await DBOS.rewind_workflow_async("w", start_step=3)
        return [await fork.get_result(), await rewound.get_result()]

    assert asyncio.run(main()) == [[10, 20, 30], [10, 20, 30]]
    assert sorted(ran) == [1, 2, 3, 3, 3]


def test_a_full_queue_takes_what_is_resumed_forked_or_rewound(sql: psycopg.Connection[Any]) -> None:
    """It was accepted before, and whoever does that to workflows is not to be sent away."""
    sql.execute("select pyengine.register_queue('q', max_depth => 1)")
    for name in ("waits", "cancelled", "rewound"):
        sql.execute("select pyengine.start_workflow('f', workflow_id => %s)", [name])
    sql.execute("select pyengine.cancel_workflows(array['cancelled', 'rewound'])")
    sql.execute("select pyengine.enqueue_workflow('f', 'q', workflow_id => 'first')")
    with pytest.raises(psycopg.Error, match="queue q is full"):
        sql.execute("select pyengine.enqueue_workflow('f', 'q', workflow_id => 'refused')")

    sql.execute("select pyengine.resume_workflows(array['cancelled'], queue_name => 'q')")
    sql.execute(
        "select pyengine.fork_workflow('waits', new_workflow_id => 'fork', queue_name => 'q')"
    )
    sql.execute("select pyengine.rewind_workflow('rewound', queue_name => 'q')")

    waiting = sql.execute(
        "select workflow_id from pyengine.workflows where queue_name = 'q' and status = 'ENQUEUED' order by 1"
    )
    assert [row[0] for row in waiting] == ["cancelled", "first", "fork", "rewound"]
