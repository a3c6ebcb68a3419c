"""pyengine doctor: each thing that can be wrong is found, and what is right is not complained about."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from pyengine import schema
from pyengine.commands import engine_checks, server_checks
from tests.cli.conftest import Process, Run, Session
from tests.fix_roles import Login
from tests.fix_server import PrivateServerFactory


def findings(run: Run, *options: str) -> dict[str, tuple[str, str]]:
    """State and message of each check."""
    done = run("doctor", "--json", *options)
    found = {row["check"]: (row["state"], row["message"]) for row in done.json}
    assert done.status == (4 if any(state == "problem" for state, _ in found.values()) else 0)
    return found


def test_an_engine_in_use_has_no_problem_but_the_settings_of_tests(
    run: Run, process: Process
) -> None:
    found = findings(run)

    wrong = {check for check, (state, _) in found.items() if state == "problem"}
    assert wrong <= {"fsync", "full_page_writes", "synchronous_commit", "autovacuum"}
    assert found["schema"] == ("ok", f"pyengine, version {schema.load().latest_version}")
    assert found["executors"][1] == "1 alive, of app"
    for check in (
        "server",
        "listen",
        "clock",
        "transactions",
        "queues",
        "dead letters",
        "history",
        "tables",
    ):
        assert found[check][0] == "ok", found[check]


def test_an_observer_is_told_what_it_may_see(
    run: Run, process: Process, engine_url: str, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads no table, and what it may not look at is advice rather than a problem."""
    name = login("observer")
    url = conninfo.make_conninfo(engine_url, user=name, password="secret")
    monkeypatch.setenv("PYENGINE_DATABASE_URL", url)

    found = findings(run)

    assert found["rights"] == ("ok", f"{name} has the engine's role that it was given")
    assert found["executors"] == ("ok", "1 alive, of app")
    for check in ("server", "schema", "queues", "schedules", "dead letters", "history", "tables"):
        assert found[check][0] == "ok", found[check]
    assert "permission denied" not in str(found)


def test_people_get_a_line_each(run: Run, sql: Session) -> None:
    lines = run("doctor").out.splitlines()

    assert lines[0].startswith("ok       server: PostgreSQL ")
    assert all(line[:9].rstrip() in ("ok", "advice", "problem", "") for line in lines)


def test_a_schema_that_is_not_there(run: Run, sql: Session) -> None:
    assert findings(run, "--schema", "nowhere")["schema"] == (
        "problem",
        "there is no schema nowhere: run `pyengine migrate`",
    )


def test_an_older_schema(run: Run, sql: Session) -> None:
    sql.execute("update pyengine.schema_migrations set functions_sha256 = null")
    try:
        state, message = findings(run)["schema"]
    finally:
        schema.migrate(sql)

    assert state == "problem"
    assert "`pyengine migrate`" in message


def test_no_process_is_alive(run: Run, sql: Session) -> None:
    assert findings(run)["executors"] == (
        "advice",
        "no process is alive: nothing runs workflows now",
    )


def test_workflows_belong_to_dead_processes(
    run: Run, sql: Session, process: Process, enqueue: Callable[..., None]
) -> None:
    enqueue("w")
    process.claim()
    sql.execute("update pyengine.executors set session_lost_at = pyengine.now()")

    assert findings(run)["executors"][1].startswith(
        "no process is alive, and 1 workflows belong to dead ones"
    )


def test_work_that_nobody_takes(run: Run, sql: Session, enqueue: Callable[..., None]) -> None:
    sql.execute("select pyengine.register_queue('mails')")
    enqueue("w", queue_name="mails")

    sql.execute("select pyengine.pause_queue('mails')")
    assert findings(run)["queues"] == ("advice", "1 workflows wait in mails, which is paused")
    sql.execute("select pyengine.delete_queue('mails')")
    assert findings(run)["queues"][0] == "problem"


def test_schedules_that_do_not_fire(run: Run, sql: Session) -> None:
    assert findings(run)["schedules"] == ("ok", "0 active")
    sql.execute(
        "select pyengine.create_schedule(schedule_name => 's', workflow_name => 'gone', schedule => '@daily')"
    )

    sql.execute("update pyengine.schedules set next_due_at = pyengine.now() - interval '5 minutes'")
    state, message = findings(run)["schedules"]
    assert (state, "no live process has its workflow gone" in message) == ("problem", True)
    sql.execute("update pyengine.schedules set next_due_at = null, error = 'no such time zone'")
    assert findings(run)["schedules"] == ("problem", "s: no such time zone")
    sql.execute("select pyengine.pause_schedule(schedule_name => 's')")
    assert findings(run)["schedules"] == ("ok", "0 active")


def test_dead_letters(run: Run, sql: Session) -> None:
    sql.execute(
        "insert into pyengine.workflows"
        " (workflow_id, status, name, created_at, updated_at, finished_at, serialization, inputs)"
        " values ('w', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', 'f', now(), now(), now(), 'json', '[]')"
    )

    assert findings(run)["dead letters"][0] == "advice"


def test_a_long_transaction(
    run: Run, sql: Session, engine_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_checks, "_LONG_TRANSACTION_SECONDS", 0)
    with psycopg.connect(engine_url) as idle:
        idle.execute("select 1")
        pid = idle.info.backend_pid
        state, message = findings(run)["transactions"]

    assert state == "advice"
    assert f"pg_terminate_backend({pid})" in message


def test_a_large_history_without_a_policy(
    run: Run, sql: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_checks, "_LARGE_HISTORY", 0)

    assert findings(run)["history"][0] == "advice"
    assert run("retention", "set", "app", "--age", "30d", "-y").status == 0
    assert findings(run)["history"][0] == "ok"


def test_a_table_full_of_dead_rows(run: Run, sql: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_checks, "_FEW_DEAD", -1)
    monkeypatch.setattr(engine_checks, "_DEAD_SHARE", -1)

    assert findings(run)["tables"][0] == "advice"


def test_the_clock_of_this_machine(sql: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 100)
    (found,) = server_checks.check_clock(sql)

    assert found.state == "advice"
    assert "this machine's clock is 1m 40s ahead of the server's" in found.message


def test_settings_that_can_lose_work(private_server: PrivateServerFactory) -> None:
    server = private_server(fsync="off", synchronous_commit="off", autovacuum="off")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        found = list(server_checks.check_settings(connection))

    assert {finding.check for finding in found} == {"fsync", "synchronous_commit", "autovacuum"}
    assert {finding.state for finding in found} == {"problem"}


def test_settings_as_they_should_be(private_server: PrivateServerFactory) -> None:
    server = private_server(fsync="on", synchronous_commit="on", full_page_writes="on")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        (found,) = server_checks.check_settings(connection)

    assert found.state == "ok"


class Deaf:
    """A connection as it is behind a pooler that loses what a session listens to."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.info = connection.info

    def execute(self, query: str | bytes, values: Any = None) -> Any:
        text = query if isinstance(query, bytes) else query.encode()
        return self._connection.execute(b"select 1" if text.startswith(b"listen") else text, values)

    def notifies(self, **options: Any) -> Iterator[Any]:
        return self._connection.notifies(timeout=0.1, stop_after=1)


def test_no_notification_arrives(sql: Session) -> None:
    (found,) = server_checks.check_listen(Deaf(sql))  # type: ignore[arg-type]

    assert found.state == "problem"
    assert "listen_database_url" in found.message


def test_the_connection_for_listening_is_another(run: Run, sql: Session, engine_url: str) -> None:
    assert findings(run, "--listen-database-url", engine_url)["listen"][0] == "ok"
    done = run("doctor", "--listen-database-url", "postgresql://u:hunter2@127.0.0.1:1/d")
    assert done.status == 1
    assert "hunter2" not in done.out + done.err


def test_who_may_not_look_is_told_so_and_the_rest_goes_on(
    run: Run, sql: Session, engine_url: str
) -> None:
    sql.execute("drop role if exists pyengine_test_stranger")
    sql.execute("create role pyengine_test_stranger login")
    try:
        url = conninfo.make_conninfo(engine_url, user="pyengine_test_stranger")
        done = run("doctor", "--json", "-s", url)
    finally:
        sql.execute("drop role pyengine_test_stranger")

    found = {row["check"]: row for row in done.json}
    assert done.status == 4
    assert "has no access to schema" in found["schema"]["message"]
    assert found["listen"]["state"] == "ok"
    assert "executors" not in found
