"""What a listener finds out about its connection: it works, nothing arrives, or it is not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, DBOSClient
from pyengine.errors import DBOSException
from pyengine.runtime.listener import Listener

Connection = psycopg.Connection[Any]
Listening = Callable[[str], Listener]


@pytest.fixture
def listening() -> Iterator[Listening]:
    """Makes listeners, and stops them."""
    made: list[Listener] = []

    def make(url: str) -> Listener:
        made.append(Listener(url, "test_listener", notified=lambda _: None, connected=lambda: None))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def end_listeners(sql: Connection) -> int:
    row = sql.execute(
        "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity"
        " where application_name = 'pyengine listener' and datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


def notify(sql: Connection, channel: str) -> bool:
    sql.execute("select pg_notify(%s, '')", [channel])
    return True


def test_it_works(sql: Connection, engine_url: str, listening: Listening) -> None:
    listener = listening(engine_url)

    assert listener.start(lambda channel: notify(sql, channel)) == "works"
    assert listener.backend_pid is not None


def test_a_session_that_is_killed_while_it_is_tried_is_not_deaf(
    sql: Connection, engine_url: str, listening: Listening
) -> None:
    ended: list[int] = []

    def prove(channel: str) -> bool:
        if not ended:
            ended.append(end_listeners(sql))
            sql.execute("notify nobody")
            return True
        return notify(sql, channel)

    assert listening(engine_url).start(prove, timeout=0.5) == "works"
    assert ended == [1]


def test_a_notification_that_could_not_be_sent_proves_nothing(
    sql: Connection, engine_url: str, listening: Listening
) -> None:
    outcomes = iter([False, False])

    def prove(channel: str) -> bool:
        return next(outcomes, None) is None and notify(sql, channel)

    assert listening(engine_url).start(prove) == "works"


def test_a_session_where_nothing_arrives_is_deaf(
    sql: Connection, engine_url: str, listening: Listening
) -> None:
    assert listening(engine_url).start(lambda _: True, timeout=0.2) == "deaf"


def test_a_session_that_never_lasts_is_unreachable(
    sql: Connection, engine_url: str, listening: Listening
) -> None:
    def prove(channel: str) -> bool:
        end_listeners(sql)
        return True

    assert listening(engine_url).start(prove, timeout=0.1) == "unreachable"


def test_a_launch_without_a_connection_to_listen_on_says_so(
    launch: Any,
    sql: Connection,
    engine_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(Listener.start, "__defaults__", (0.05,))
    launch(listen_database_url=engine_url.replace("postgres@", "nobody_of_this_name@"))

    assert "the connection that listens can't be made" in caplog.text
    assert "LISTEN does not work" not in caplog.text
    assert DBOS.list_workflows() == []


def test_one_that_is_stopped_while_it_is_tried_is_not_called_deaf(engine_url: str) -> None:
    listener = Listener(engine_url, "test", notified=lambda _: None, connected=lambda: None)

    def prove(_: str) -> bool:
        listener.stop()
        return True

    assert listener.start(prove, timeout=0.05) == "stopped"


def test_one_that_is_stopped_while_its_session_is_lost_ends_at_once(
    sql: Connection, engine_url: str
) -> None:
    listener = Listener(engine_url, "test", notified=lambda _: None, connected=lambda: None)
    is_lost, stopped = threading.Event(), threading.Event()

    class Noted(threading.Event):
        """The loss is noted when somebody has stopped it already."""

        def set(self) -> None:
            super().set()
            if listener._stopping.is_set():
                stopped.set()

        def clear(self) -> None:
            is_lost.set()
            stopped.wait(10)
            super().clear()

    def prove(_: str) -> bool:
        end_listeners(sql)
        assert is_lost.wait(10)
        listener.stop()
        return False

    listener._listening = Noted()
    began = time.monotonic()

    assert listener.start(prove) == "stopped"
    assert time.monotonic() - began < 5


def test_a_client_that_is_closed_before_it_listens_ends_in_silence(
    engine_url: str,
    sql: Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    began, ended = threading.Event(), threading.Event()
    start = Listener.start

    def start_late(listener: Listener, prove: Callable[[str], bool]) -> Any:
        def prove_late(channel: str) -> bool:
            began.set()
            listener._stopping.wait(10)
            return prove(channel)

        hearing = start(listener, prove_late)
        ended.set()
        return hearing

    monkeypatch.setattr(Listener, "start", start_late)
    client = DBOSClient(system_database_url=engine_url)
    waiter = threading.Thread(target=wait_in_vain, args=[client])
    waiter.start()
    assert began.wait(10)
    client.close()
    waiter.join(10)

    assert ended.wait(10)
    assert caplog.messages == []


def wait_in_vain(client: DBOSClient) -> None:
    with pytest.raises(DBOSException, match="was destroyed"):
        client.retrieve_workflow("nowhere").get_result()
