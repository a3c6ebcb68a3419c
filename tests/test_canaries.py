"""A password and the payloads of a busy application show in no log, no error and no repr, at any level of logging."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from typing import Any, cast

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pyengine import DBOS, Queue, SetWorkflowID
from pyengine.current import get_runtime

PASSWORD = "c4n4ry-password"
PAYLOAD = "c4n4ry-payload"
canaries = Queue("canaries", concurrency=1)


@DBOS.step(retries_allowed=True, max_attempts=2, interval_seconds=0)
def echo(value: Any) -> Any:
    if DBOS.step_status is not None and DBOS.step_status.current_attempt == 0:
        raise ConnectionError("once")
    return value


@DBOS.workflow()
def busy(value: Any, _: Any = None) -> Any:
    kept = echo(value)
    DBOS.set_event("key", kept)
    DBOS.write_stream("stream", kept)
    received = DBOS.recv("topic", timeout_seconds=10)
    return [kept, received]


@DBOS.workflow()
def returns_a_lock(value: Any) -> Any:
    return [value, threading.Lock()]


@DBOS.workflow()
def another(value: Any) -> Any:
    return value


BREAKERS: dict[str, Callable[[], Any]] = {
    "output that can't be stored": lambda: returns_a_lock(PAYLOAD),
    "input that can't be stored": lambda: busy(threading.Lock(), PAYLOAD),
    "output that is too large": lambda: busy(PAYLOAD * 200_000),
    "arguments that don't fit": lambda: DBOS.start_workflow(
        cast("Any", busy), PAYLOAD, PAYLOAD, PAYLOAD
    ),
    "a receiver that is unknown": lambda: DBOS.send("nobody", PAYLOAD, "topic"),
    "a message that can't be stored": lambda: DBOS.send("busy", [PAYLOAD, threading.Lock()]),
    "an id of another function": lambda: another(PAYLOAD),
    "a time that is none": lambda: canaries.enqueue(busy, PAYLOAD, PAYLOAD, PAYLOAD),
}


def shown(*things: object) -> str:
    return " ".join(f"{thing!r} {thing}" for thing in things)


@pytest.fixture
def everything(
    launch: Callable[..., None],
    engine_url: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Callable[[], str]:
    """Launch with a password and the most talkative logging; returns what was logged and printed since."""
    caplog.set_level(logging.DEBUG)
    launch(system_database_url=make_conninfo(engine_url, password=PASSWORD), log_level="DEBUG")
    return lambda: caplog.text + "".join(capfd.readouterr())


def test_a_busy_application_shows_neither_its_password_nor_its_payloads(
    everything: Callable[[], str], sql: psycopg.Connection[Any]
) -> None:
    with SetWorkflowID("busy"):
        handle = DBOS.start_workflow(busy, PAYLOAD)
    DBOS.send("busy", PAYLOAD, "topic")
    assert handle.get_result() == [PAYLOAD, PAYLOAD]
    assert canaries.enqueue(another, PAYLOAD).get_result() == PAYLOAD
    sql.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> %s",
        [sql.info.backend_pid],
    )
    assert another(PAYLOAD) == PAYLOAD
    runtime = get_runtime("this test")

    reprs = shown(handle, canaries, DBOS, runtime, runtime.engine, vars(runtime.engine))

    found = everything() + reprs
    assert "busy" in found
    assert PASSWORD not in found
    assert PAYLOAD not in found


@pytest.mark.parametrize("cause", BREAKERS)
def test_an_error_shows_neither_the_password_nor_the_payload(
    everything: Callable[[], str], cause: str
) -> None:
    with SetWorkflowID("busy"):
        DBOS.start_workflow(busy, PAYLOAD)

    def fail() -> None:
        with SetWorkflowID("busy" if "another function" in cause else cause):
            BREAKERS[cause]().get_result()

    with pytest.raises(Exception) as raised:  # noqa: PT011
        fail()

    error = raised.value
    text = "".join(traceback.format_exception(error)) + shown(error, vars(error)) + everything()
    assert PASSWORD not in text
    assert PAYLOAD not in text
