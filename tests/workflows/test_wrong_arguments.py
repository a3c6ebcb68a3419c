"""What has the wrong type is refused with its name, where it is given, and nothing happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyengine import DBOS, Debouncer, Queue, SetEnqueueOptions, SetWorkflowTimeout
from pyengine.errors import DBOSException
from tests.workflows.support import launched


@DBOS.workflow()
def echo(value: int = 1) -> int:
    return value


@DBOS.workflow()
def call_inside(call: str) -> Any:
    return INSIDE[call]()


wrong: Any = "five"

INSIDE: dict[str, Callable[[], Any]] = {
    "sleep": lambda: DBOS.sleep(wrong),
    "recv": lambda: DBOS.recv("topic", wrong),
    "write_stream": lambda: DBOS.write_stream(wrong and 5, "value"),  # type: ignore[arg-type]
    "run_step": lambda: DBOS.run_step(wrong, echo),
}


@pytest.fixture(scope="module", autouse=True)
def dbos(engine_url: str) -> Iterator[None]:
    with launched(engine_url):
        yield


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Queue("wrong", concurrency=wrong), "concurrency is 'five': it must be a whole"),
        (lambda: Queue("wrong", max_depth=2.5), "max_depth is 2.5: it must be a whole"),  # type: ignore[arg-type]
        (
            lambda: Queue("wrong", limiter={"limit": wrong, "period": 1}),
            "limit must be a whole number",
        ),
        (lambda: Queue(5), "a queue's name must be a text"),  # type: ignore[arg-type]
    ],
)
def test_limits_of_queues_are_numbers(make: Callable[[], Queue], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SetWorkflowTimeout(wrong), "seconds is 'five': a timeout must be a number"),
        (lambda: SetEnqueueOptions(priority=wrong), "priority is 'five': it must be a whole"),
        (lambda: SetEnqueueOptions(delay_seconds=wrong), "delay_seconds is 'five': it must"),
        (
            lambda: SetEnqueueOptions(deduplication_id=7),  # type: ignore[arg-type]
            "deduplication_id must be a str, not int",
        ),
        (lambda: Debouncer.create(echo).debounce("key", wrong), "debounce_period_sec is 'five'"),
        (lambda: DBOS.enqueue_workflow(" ", echo), "queue_name is ' ': it must be a text"),
        (lambda: DBOS.fork_workflow("w", wrong), "start_step is 'five': it must be a whole"),
        (lambda: DBOS.rewind_workflow("w", start_step=wrong), "start_step is 'five'"),
        (lambda: DBOS.get_event("w", "key", wrong), "timeout_seconds is 'five'"),
        (lambda: DBOS.send(5, "hello"), "destination_id must be a str, not int"),  # type: ignore[arg-type]
    ],
)
def test_options_are_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DBOSException, match=message):
        make()


@pytest.mark.parametrize(
    "call",
    [
        DBOS.cancel_workflow,
        DBOS.resume_workflow,
        DBOS.delete_workflow,
        DBOS.retrieve_workflow,
        DBOS.list_workflow_steps,
        lambda given: DBOS.get_event(given, "key"),
        lambda given: DBOS.send(given, "hello"),
        lambda given: DBOS.fork_workflow(given, 1),
        lambda given: list(DBOS.read_stream(given, "key")),
    ],
)
def test_a_handle_in_the_place_of_an_id_is_refused(call: Callable[[Any], object]) -> None:
    with pytest.raises((DBOSException, TypeError), match=r"Handle.*: give its workflow_id"):
        call(DBOS.start_workflow(echo))


@pytest.mark.parametrize(
    "call", [DBOS.cancel_workflows, DBOS.resume_workflows, DBOS.delete_workflows]
)
def test_the_letters_of_one_id_are_not_several_ids(call: Callable[[Any], object]) -> None:
    with pytest.raises(DBOSException, match="workflow_ids must be a list of ids, not str"):
        call("order-7")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("sleep", "seconds is 'five': it must be a number"),
        ("recv", "timeout_seconds is 'five': it must be a number"),
        ("write_stream", "the key of a stream must be a str, not int"),
        ("run_step", "the first argument of a step is its options or None, not str"),
    ],
)
def test_a_workflow_that_gives_something_wrong_is_told_what(call: str, message: str) -> None:
    with pytest.raises(DBOSException, match=message):
        call_inside(call)
