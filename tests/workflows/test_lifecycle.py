"""From construction to destruction: what is allowed when, and what happens to running workflows."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID, run_dbos_database_migrations
from pyengine.config import DBOSConfig
from pyengine.errors import DBOSException, DBOSInitializationError
from pyengine.registry import registry
from tests.workflows.support import Gate, stored

Launch = Callable[..., None]
Connection = psycopg.Connection[Any]
gates: list[Gate] = []
effects: list[str] = []


@DBOS.step()
def lifecycle_step(text: str) -> str:
    effects.append(text)
    return text


@DBOS.workflow()
def lifecycle_workflow(text: str) -> str:
    return lifecycle_step(text)


@DBOS.workflow()
async def lifecycle_async(text: str) -> str:
    return text


@DBOS.workflow()
def stops_at_gate() -> str:
    lifecycle_step("before")
    gates[-1].pass_through()
    return lifecycle_step("after")


@DBOS.workflow()
async def never_ends() -> None:
    gates[-1].reached.set()
    await asyncio.get_running_loop().create_future()


@DBOS.workflow()
def swallows_errors() -> str:
    try:
        gates[-1].pass_through()
        lifecycle_step("too late")
    except Exception:
        effects.append("compensated")
        raise
    return "done"


@pytest.fixture(autouse=True)
def fresh_gate() -> Iterator[None]:
    gates.append(Gate())
    effects.clear()
    yield
    gates.pop().open.set()


def test_construction_opens_no_connection(launch: Launch) -> None:
    DBOS(config={"name": "nowhere", "system_database_url": "postgresql://nobody@127.0.0.1:1/none"})


def test_a_second_construction_returns_the_first_object(launch: Launch, config: DBOSConfig) -> None:
    first = DBOS(config=config)

    assert DBOS(config={"name": "another-name"}) is first
    assert DBOS(config={"name": "?"}) is first


def test_a_second_construction_with_another_configuration_says_that_it_changes_nothing(
    launch: Launch, config: DBOSConfig, caplog: pytest.LogCaptureFixture
) -> None:
    DBOS(config=config)
    DBOS(config=config)
    assert not caplog.records

    DBOS(config={**config, "name": "another", "system_database_url": "postgresql://a:secret@h/d"})

    (record,) = caplog.records
    assert "name, system_database_url would differ" in record.getMessage()
    assert "secret" not in record.getMessage()


def test_a_failed_construction_leaves_nothing_behind(launch: Launch, config: DBOSConfig) -> None:
    with pytest.raises(DBOSInitializationError):
        DBOS(config={"name": "?"})

    DBOS(config=config)
    DBOS.launch()

    assert lifecycle_workflow("hi") == "hi"


def test_launch_needs_a_construction(launch: Launch) -> None:
    with pytest.raises(DBOSException, match=r"DBOS\(config="):
        DBOS.launch()


def test_workflows_cannot_be_called_before_launch(launch: Launch, config: DBOSConfig) -> None:
    for _ in range(2):
        with pytest.raises(DBOSException, match="before DBOS was launched"):
            lifecycle_workflow("hi")
        with pytest.raises(DBOSException, match="before DBOS was launched"):
            DBOS.start_workflow(lifecycle_workflow, "hi")
        with pytest.raises(DBOSException, match="before DBOS was launched"):
            asyncio.run(lifecycle_async("hi"))
        DBOS(config=config)
    assert lifecycle_step("a step is a plain function") == "a step is a plain function"


def test_a_second_launch_only_warns(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    launch()

    with caplog.at_level(logging.WARNING, "pyengine"):
        DBOS.launch()

    assert "called twice" in caplog.text
    assert lifecycle_workflow("hi") == "hi"


def test_destroy_can_be_repeated_and_needs_no_construction(launch: Launch) -> None:
    DBOS.destroy()
    launch()
    DBOS.destroy()
    DBOS.destroy()

    with pytest.raises(DBOSException, match="before DBOS was launched"):
        lifecycle_workflow("hi")


def test_registered_functions_survive_destroy_unless_told_otherwise(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for attribute in ("_workflows", "_classes", "_instances"):
        monkeypatch.setattr(registry, attribute, dict(getattr(registry, attribute)))
    launch()
    DBOS.destroy()
    kept = registry.function_keys()

    DBOS.destroy(destroy_registry=True)

    assert "lifecycle_workflow" in kept
    assert registry.function_keys() == []


def test_a_launch_that_fails_says_why_without_the_password(launch: Launch) -> None:
    DBOS(config={"name": "nowhere", "system_database_url": "postgresql://me:hush@127.0.0.1:1/none"})

    with pytest.raises(DBOSInitializationError, match=r"can't be reached: .*refused") as caught:
        DBOS.launch()

    assert "hush" not in str(caught.value)
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("pyengine-listener")
    ]


def test_destroy_gives_running_workflows_back_and_the_next_launch_runs_them(
    launch: Launch, sql: Connection
) -> None:
    launch()
    with SetWorkflowID("given-back"):
        DBOS.start_workflow(stops_at_gate)
    gates[-1].reached.wait()

    DBOS.destroy()

    assert stored(sql, "given-back", "status") == "ENQUEUED"
    gates[-1].open.set()
    launch()
    assert DBOS.get_result("given-back") == "after"
    assert effects.count("before") == 1


def test_destroy_waits_for_running_workflows_as_long_as_it_is_told(
    launch: Launch, sql: Connection
) -> None:
    launch()
    with SetWorkflowID("drained"):
        DBOS.start_workflow(stops_at_gate)
    gates[-1].reached.wait()
    threading.Timer(0.1, gates[-1].open.set).start()

    DBOS.destroy(workflow_completion_timeout_sec=20)

    assert stored(sql, "drained", "status") == "SUCCESS"


def test_destroy_does_not_wait_longer_than_it_is_told(launch: Launch, sql: Connection) -> None:
    launch()
    with SetWorkflowID("not-drained"):
        DBOS.start_workflow(stops_at_gate)
    gates[-1].reached.wait()

    began = time.monotonic()
    DBOS.destroy(workflow_completion_timeout_sec=0.1)

    assert 0.1 <= time.monotonic() - began < 5
    assert stored(sql, "not-drained", "status") == "ENQUEUED"


def test_destroy_gives_coroutine_workflows_back(launch: Launch, sql: Connection) -> None:
    launch()
    with SetWorkflowID("coroutine"):
        DBOS.start_workflow(never_ends)
    gates[-1].reached.wait()

    DBOS.destroy()

    assert stored(sql, "coroutine", "status") == "ENQUEUED"


def test_a_run_that_outlives_destroy_is_ended_past_its_error_handlers(
    launch: Launch, sql: Connection
) -> None:
    """It is another's to carry on: code that handles errors must not compensate for it here."""
    launch()
    with SetWorkflowID("outlived"):
        DBOS.start_workflow(swallows_errors)
    gates[-1].reached.wait()

    DBOS.destroy()
    gates[-1].open.set()
    for thread in threading.enumerate():
        if thread.name == "pyengine-workflow":
            thread.join(10)

    assert effects == []
    assert stored(sql, "outlived", "status") == "ENQUEUED"


def test_a_caller_that_waits_is_told_when_the_engine_is_destroyed(
    launch: Launch, sql: Connection
) -> None:
    errors: list[BaseException] = []

    def wait_for_ever() -> None:
        try:
            DBOS.get_result("never-exists")
        except BaseException as error:
            errors.append(error)

    launch()
    waiting = threading.Thread(target=wait_for_ever)
    waiting.start()
    while not sql.execute("select 1 from pyengine.waiters").fetchall():
        time.sleep(0.005)
    DBOS.destroy()
    waiting.join(10)

    assert [type(error) for error in errors] == [DBOSException]


def test_launch_inside_a_loop_runs_coroutine_workflows_on_it(launch: Launch) -> None:
    @DBOS.workflow()
    async def which_loop() -> int:
        return id(asyncio.get_running_loop())

    async def main() -> tuple[int, int]:
        launch()
        handle = DBOS.start_workflow(which_loop)
        result = await DBOS.get_result_async(handle.workflow_id)
        return result, id(asyncio.get_running_loop())

    loop, here = asyncio.run(main())
    assert loop == here


def test_reset_deletes_all_workflows_and_is_refused_after_launch(
    launch: Launch, config: DBOSConfig
) -> None:
    for truncate in (True, False):
        launch()
        with SetWorkflowID("forgotten"):
            assert lifecycle_workflow("hi") == "hi"
        with pytest.raises(AssertionError, match="before"):
            DBOS.reset_system_database()
        DBOS.destroy()
        DBOS(config=config)
        DBOS.reset_system_database(truncate=truncate)
        DBOS.launch()
        assert DBOS.get_workflow_status("forgotten") is None


def test_reset_without_anything_to_reset_only_warns(
    launch: Launch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pyengine"):
        DBOS.reset_system_database()

    assert "no effect" in caplog.text


def test_without_migrations_launch_fails_until_somebody_migrates(
    launch: Launch, engine_url: str, sql: Connection
) -> None:
    sql.execute("drop schema if exists prepared cascade")
    try:
        with pytest.raises(DBOSInitializationError, match="migrat"):
            launch(run_migrations=False, dbos_system_schema="prepared")
        DBOS.migrate(engine_url, schema="prepared")
        run_dbos_database_migrations(engine_url, schema="prepared")
        launch(run_migrations=False, dbos_system_schema="prepared")

        with SetWorkflowID("in-prepared"):
            assert lifecycle_workflow("hi") == "hi"

        found = sql.execute("select status from prepared.workflows").fetchall()
        assert found == [("SUCCESS",)]
    finally:
        DBOS.destroy()
        sql.execute("drop schema if exists prepared cascade")


def test_the_version_and_the_executors_name_can_be_asked_for(launch: Launch) -> None:
    launch(application_version="1.2.3", executor_id="worker-7")

    assert (DBOS.application_version, DBOS.executor_id) == ("1.2.3", "worker-7")
    with SetWorkflowID("version"):
        lifecycle_workflow("hi")
    status = DBOS.get_workflow_status("version")
    assert status is not None
    assert (status.app_version, status.application_name) == ("1.2.3", "test-app")


def test_a_launch_that_fails_leaves_nothing_running(
    sql: psycopg.Connection[Any], launch: Callable[..., None]
) -> None:
    threads = set(threading.enumerate())
    try:
        sql.execute("alter function pyengine.register_executor rename to register_nobody")
        with pytest.raises(psycopg.errors.UndefinedFunction):
            launch()
    finally:
        sql.execute("alter function pyengine.register_nobody rename to register_executor")

    assert set(threading.enumerate()) <= threads
    launch()
