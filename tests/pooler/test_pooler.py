"""Behind a transaction pooler nothing depends on a session: statements are not prepared, and wake-ups arrive."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, DBOSClient
from pyengine.config import DBOSConfig
from pyengine.current import get_runtime
from pyengine.database.session import Session, is_pooled
from tests.fix_pooler import MODE, pooled, program, settings_left

pytestmark = pytest.mark.skipif(program() is None, reason="pgbouncer is not installed")


@DBOS.workflow(name="pooler-ask")
def ask() -> Any:
    return DBOS.recv("answers", 20)


@pytest.fixture
def pooled_url(engine_url: str, pooler: Path) -> str:
    return pooled(engine_url, pooler)


def test_it_is_noticed(engine_url: str, pooled_url: str) -> None:
    with (
        psycopg.connect(engine_url) as direct,
        psycopg.connect(pooled_url, prepare_threshold=None, autocommit=True) as through,
    ):
        assert not is_pooled(direct)
        assert is_pooled(through)


def test_sessions_get_other_server_processes_and_prepare_nothing(pooled_url: str) -> None:
    session = Session.connect(pooled_url, application_name="test")
    try:
        query = "select pg_backend_pid(), (select count(*) from pg_prepared_statements)"
        found = [session.execute(query, [])[0] for _ in range(12)]
    finally:
        session.close()
    assert len({process for process, _ in found}) > 1
    assert {count for _, count in found} == {0}


@pytest.mark.skipif(MODE == "poll", reason="nobody listens")
def test_wake_ups_come_through_the_direct_url(
    launch: Any, engine_url: str, pooled_url: str
) -> None:
    launch(system_database_url=pooled_url, listen_database_url=engine_url)
    assert get_runtime("test").engine._listener.backend_pid is not None
    handle = DBOS.start_workflow(ask)
    time.sleep(1.5)  # it looks again once a second by now
    DBOS.send(handle.workflow_id, 1, "answers")
    began = time.monotonic()

    assert handle.get_result() == 1
    assert time.monotonic() - began < 0.5


def test_without_a_direct_url_it_says_so_and_looks_again(
    launch: Any, pooled_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    launch(system_database_url=pooled_url, listen_database_url=None, use_listen_notify=True)
    handle = DBOS.start_workflow(ask)
    DBOS.send(handle.workflow_id, 2, "answers")

    assert handle.get_result() == 2
    assert "set listen_database_url to a direct connection" in caplog.text


def test_a_client_works_there(dbos: type[DBOS], pooled_url: str) -> None:
    with DBOSClient(system_database_url=pooled_url, use_listen_notify=False) as client:
        handle = client.enqueue({"workflow_name": "pooler-ask", "queue_name": "pooler"})
        client.register_queue("pooler")
        client.send(handle.workflow_id, 3, "answers")
        assert handle.get_result() == 3


def test_a_replay_check_leaves_no_setting_in_the_sessions_of_others(
    sql: Any, config: DBOSConfig, pooled_url: str
) -> None:
    """A session that stayed read-only would refuse the writes of whoever gets it next."""
    DBOS.destroy()
    DBOS(config={**config, "system_database_url": pooled_url})
    assert DBOS.check_replay().is_clean
    DBOS.destroy()

    found = settings_left(pooled_url)
    assert len(found) > 1
    assert set(found.values()) == {()}
