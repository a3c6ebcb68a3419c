"""Queues: what is enqueued runs, under the limits of its queue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetEnqueueOptions, SetWorkflowID
from pyengine.error import (
    DBOSBackpressureError,
    DBOSException,
    DBOSQueueDeduplicatedError,
)

plain = Queue("plain")
single = Queue("single", concurrency=1)
workers = Queue("workers", worker_concurrency=2)
users = Queue("users", worker_concurrency=10)
keyed = Queue("keyed", partition_concurrency=1)
limited = Queue("limited", limiter={"limit": 3, "period": 60})
shallow = Queue("shallow", max_depth=2)


@DBOS.workflow()
def doubled(number: int) -> int:
    return number * 2


@DBOS.workflow()
async def doubled_async(number: int) -> int:
    return number * 2


@DBOS.step()
def tripled(number: int) -> int:
    return number * 3


@DBOS.workflow()
def fan_out(count: int) -> int:
    handles = [plain.enqueue(doubled, number) for number in range(count)]
    return sum(handle.get_result() for handle in handles)


class Gate:
    """Lets the test hold workflows and see how many run."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.open = threading.Event()
        self.changed = threading.Condition()
        self.running = 0
        self.most = 0
        self.order: list[Any] = []

    def pass_through(self, item: Any) -> None:
        with self.changed:
            self.running += 1
            self.most = max(self.most, self.running)
            self.order.append(item)
            self.changed.notify_all()
        self.open.wait(30)
        with self.changed:
            self.running -= 1
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.order) >= count, 30)


gate = Gate()


@pytest.fixture(autouse=True)
def _fresh_gate() -> None:
    gate.reset()


@DBOS.workflow()
def gated(item: Any) -> Any:
    gate.pass_through(item)
    return item


def test_an_enqueued_workflow_runs_and_its_handle_has_the_result(dbos: type[DBOS]) -> None:
    handle = plain.enqueue(doubled, 21)

    assert handle.get_result() == 42
    status = handle.get_status()
    assert (status.status, status.queue_name) == ("SUCCESS", "plain")


def test_async_workflows_and_steps_can_be_enqueued(dbos: type[DBOS]) -> None:
    assert plain.enqueue(doubled_async, 4).get_result() == 8
    assert plain.enqueue(tripled, 4).get_result() == 12


def test_a_workflow_can_enqueue_children_and_collect_their_results(dbos: type[DBOS]) -> None:
    assert fan_out(20) == sum(range(20)) * 2


def test_a_workflow_is_enqueued_by_queue_name_and_by_options(dbos: type[DBOS]) -> None:
    by_name = DBOS.enqueue_workflow("plain", doubled, 5)
    by_options = DBOS.enqueue_workflow_with_options(
        {"workflow_name": "doubled", "queue_name": "plain", "workflow_id": "chosen"}, 6
    )

    assert by_name.get_result() == 10
    assert by_options.get_result() == 12
    assert by_options.workflow_id == "chosen"


def test_work_for_an_unregistered_queue_waits_until_the_queue_is_registered(
    dbos: type[DBOS],
) -> None:
    handle = DBOS.enqueue_workflow("later", doubled, 1)
    assert handle.get_status().status == "ENQUEUED"

    DBOS.register_queue("later")

    assert handle.get_result() == 2


def test_concurrency_limits_what_runs_at_once(dbos: type[DBOS]) -> None:
    handles = [single.enqueue(gated, n) for n in range(4)]
    gate.wait_for(1)

    gate.open.set()

    assert [handle.get_result() for handle in handles] == [0, 1, 2, 3]
    assert gate.most == 1
    assert gate.order == [0, 1, 2, 3]


def test_worker_concurrency_limits_what_runs_in_one_process(dbos: type[DBOS]) -> None:
    handles = [workers.enqueue(gated, n) for n in range(6)]
    gate.wait_for(2)

    gate.open.set()

    assert sorted(handle.get_result() for handle in handles) == list(range(6))
    assert gate.most == 2


def test_priority_decides_the_order(dbos: type[DBOS]) -> None:
    DBOS.pause_queue("single")
    handles = []
    for priority in (5, 1, 3):
        with SetEnqueueOptions(priority=priority):
            handles.append(single.enqueue(gated, priority))
    handles.append(single.enqueue(gated, "unset"))
    gate.open.set()

    DBOS.resume_queue("single")

    for handle in handles:
        handle.get_result()
    assert gate.order == ["unset", 1, 3, 5]


def test_workflows_with_one_partition_key_run_one_at_a_time_in_order(dbos: type[DBOS]) -> None:
    handles = [
        users.enqueue(gated, (key, n), partition_key=key) for n in range(3) for key in ("a", "b")
    ]
    free = users.enqueue(gated, "free")
    gate.wait_for(3)
    assert sorted(map(str, gate.order)) == ["('a', 0)", "('b', 0)", "free"]

    gate.open.set()

    for handle in [*handles, free]:
        handle.get_result()
    assert [n for key, n in gate.order[3:] if key == "a"] == [1, 2]
    assert [n for key, n in gate.order[3:] if key == "b"] == [1, 2]


def test_a_partitioned_queue_serves_every_key(dbos: type[DBOS]) -> None:
    handles = []
    for n in range(12):
        with SetEnqueueOptions(queue_partition_key=f"key-{n % 4}"):
            handles.append(keyed.enqueue(gated, n))
    gate.wait_for(4)
    assert sorted(gate.order) == [0, 1, 2, 3]

    gate.open.set()

    assert [handle.get_result() for handle in handles] == list(range(12))


def test_a_rate_limit_is_not_given_back_by_cancel(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    gate.open.set()
    first = [limited.enqueue(gated, n) for n in range(3)]
    for handle in first:
        handle.get_result()
    later = [limited.enqueue(gated, n) for n in (3, 4)]
    DBOS.cancel_workflow(first[0].workflow_id)

    assert [handle.get_status().status for handle in later] == ["ENQUEUED", "ENQUEUED"]
    started = sql.execute("select sum(start_count) from pyengine.queue_starts").fetchone()
    assert started == (3,)


def test_a_deduplication_id_is_held_until_the_holder_ends(dbos: type[DBOS]) -> None:
    with SetEnqueueOptions(deduplication_id="once"):
        holder = plain.enqueue(gated, 1)
    gate.wait_for(1)

    with SetEnqueueOptions(deduplication_id="once"), pytest.raises(DBOSQueueDeduplicatedError):
        plain.enqueue(gated, 2)
    with SetEnqueueOptions(deduplication_id="once", duplication_policy="return-existing"):
        assert plain.enqueue(gated, 3).workflow_id == holder.workflow_id
    gate.open.set()
    holder.get_result()

    with SetEnqueueOptions(deduplication_id="once"):
        assert plain.enqueue(gated, 4).get_result() == 4


def test_a_delayed_workflow_waits_and_can_be_hurried(dbos: type[DBOS]) -> None:
    with SetEnqueueOptions(delay_seconds=3600):
        handle = plain.enqueue(doubled, 3)
    assert handle.get_status().status == "DELAYED"

    DBOS.set_workflow_delay(handle.workflow_id, delay_seconds=0)

    assert handle.get_result() == 6


def test_a_full_queue_refuses_and_stores_nothing(dbos: type[DBOS]) -> None:
    DBOS.pause_queue("shallow")
    shallow.enqueue(doubled, 1)
    shallow.enqueue(doubled, 2)

    with SetWorkflowID("too-many"), pytest.raises(DBOSBackpressureError, match="max_depth"):
        shallow.enqueue(doubled, 3)

    assert DBOS.get_workflow_status("too-many") is None


def test_limits_are_changed_while_the_queue_is_used(dbos: type[DBOS]) -> None:
    handles = [single.enqueue(gated, n) for n in range(3)]
    gate.wait_for(1)

    single.set_concurrency(3)

    gate.wait_for(3)
    assert single.concurrency == 3
    gate.open.set()
    for handle in handles:
        handle.get_result()


def test_listen_queues_leaves_the_other_queues_alone(
    config: Any, launch: Callable[..., None]
) -> None:
    DBOS(config=config)
    DBOS.listen_queues(["plain"])
    DBOS.launch()

    other = workers.enqueue(doubled, 1)

    assert plain.enqueue(doubled, 1).get_result() == 2
    assert other.get_status().status == "ENQUEUED"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"priority": 0}, "priority"),
        ({"delay_seconds": -1}, "delay_seconds"),
        ({"deduplication_id": "d", "queue_partition_key": "k"}, "together"),
        ({"duplication_policy": "return-existing"}, "deduplication_id"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(DBOSException, match=problem):
        SetEnqueueOptions(**options)


@pytest.mark.parametrize(
    "limits",
    [
        {"concurrency": 0},
        {"worker_concurrency": 3, "concurrency": 2},
        {"limiter": {"limit": 1}},
        {"concurrency": 1, "global_concurrency": 1},
        {"partition_worker_concurrency": 2, "partition_concurrency": 1},
    ],
)
def test_impossible_limits_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"limit|more than"):
        Queue("impossible", **limits)


def test_reserved_queue_names_are_refused() -> None:
    with pytest.raises(ValueError, match="reserved"):
        Queue("_dbos_internal_queue")
