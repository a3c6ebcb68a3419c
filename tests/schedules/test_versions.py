"""Application versions: which exist, which is the latest, and who runs what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, EnqueueOptions, SetEnqueueOptions
from pyengine.errors import DBOSConflictError, DBOSException
from tests.workflows.support import stored, wait_until

Sql = psycopg.Connection[Any]
Launch = Callable[..., None]


@DBOS.workflow()
def answer() -> str:
    return DBOS.application_version


def by_name(**options: Any) -> EnqueueOptions:
    base: EnqueueOptions = {"workflow_name": "answer", "queue_name": "versioned"}
    return {**base, **options}  # type: ignore[typeddict-item]


def names() -> list[str]:
    return [version["version_name"] for version in DBOS.list_application_versions()]


def test_the_newest_version_is_the_latest_until_another_is_made_so(launch: Launch) -> None:
    launch(application_version="1")
    launch(application_version="2")
    assert names() == ["2", "1"]

    DBOS.set_latest_application_version("1")

    assert DBOS.get_latest_application_version()["version_name"] == "1"
    assert names() == ["1", "2"]
    with pytest.raises(DBOSException, match="there is no version 3"):
        DBOS.set_latest_application_version("3")


def test_the_twins_say_the_same(launch: Launch) -> None:
    launch(application_version="1")

    async def ask() -> list[str]:
        await DBOS.set_latest_application_version_async("1")
        latest = await DBOS.get_latest_application_version_async()
        listed = await DBOS.list_application_versions_async()
        return [latest["version_name"], *(each["version_name"] for each in listed)]

    assert asyncio.run(ask()) == ["1", "1"]


def test_a_launch_of_an_old_version_warns(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    launch(application_version="1")
    launch(application_version="2")
    assert "is not the latest" not in caplog.text

    launch(application_version="1")

    assert "version 1 of test-app is not the latest one, which is 2" in caplog.text


def test_a_version_of_another_application_is_refused(launch: Launch) -> None:
    launch(application_version="1")

    with pytest.raises(DBOSConflictError, match="version 1 belongs to application test-app"):
        launch(name="another-app", application_version="1")


def test_what_has_no_version_is_run_by_the_latest_pinned_one(launch: Launch, sql: Sql) -> None:
    launch(application_version="1")
    launch(application_version="2")
    launch(application_version="1")
    DBOS.register_queue("versioned", on_conflict="always_update")

    waiting = DBOS.enqueue_workflow_with_options(by_name())
    pinned = DBOS.enqueue_workflow_with_options(by_name(app_version="1"))

    assert pinned.get_result() == "1"
    assert stored(sql, waiting.workflow_id, "status") == "ENQUEUED"
    assert stored(sql, waiting.workflow_id, "application_version") is None
    DBOS.set_latest_application_version("1")
    assert waiting.get_result() == "1"


def test_versions_that_are_hashes_strand_nothing(launch: Launch, sql: Sql) -> None:
    """A process whose version is a hash of its code runs whatever it has the function for, latest or not."""
    launch()
    sql.execute(
        "select pyengine.register_application_version("
        "application_name => 'test-app', version_name => 'newer', is_pinned => false)"
    )
    DBOS.register_queue("versioned", on_conflict="always_update")

    assert DBOS.enqueue_workflow_with_options(by_name()).get_result() == DBOS.application_version


def test_an_enqueue_can_name_the_version_that_runs_it(launch: Launch, sql: Sql) -> None:
    launch(application_version="1")
    queue = DBOS.register_queue("versioned")
    with SetEnqueueOptions(app_version="2"):
        handle = queue.enqueue(answer)
    assert stored(sql, handle.workflow_id, "application_version") == "2"

    launch(application_version="2")

    assert DBOS.retrieve_workflow(handle.workflow_id).get_result() == "2"


def test_a_workflow_of_another_application_waits_for_its_processes(
    launch: Launch, sql: Sql
) -> None:
    launch()
    DBOS.register_queue("versioned")
    sql.execute("update pyengine.queues set application_name = null")
    handle = DBOS.enqueue_workflow_with_options(by_name(application_name="another-app"))

    assert stored(sql, handle.workflow_id, "application_name") == "another-app"
    launch(name="another-app")

    assert DBOS.retrieve_workflow(handle.workflow_id).get_result() == DBOS.application_version


def test_only_the_latest_version_changes_a_registered_queue(launch: Launch) -> None:
    launch(application_version="1")
    DBOS.register_queue("versioned", concurrency=1)
    launch(application_version="2")
    DBOS.register_queue("versioned", concurrency=2)
    launch(application_version="1")

    kept = DBOS.register_queue("versioned", concurrency=3)
    new = DBOS.register_queue("old-and-new", concurrency=3)
    assert (kept.concurrency, new.concurrency) == (2, 3)

    changed = DBOS.register_queue("versioned", concurrency=4, on_conflict="always_update")
    assert changed.concurrency == 4


def test_a_queue_is_another_applications_whatever_happens_on_a_conflict(launch: Launch) -> None:
    launch()
    DBOS.register_queue("versioned")
    launch(name="another-app")

    for on_conflict in ("update_if_latest_version", "always_update", "never_update"):
        with pytest.raises(DBOSConflictError, match="belongs to application test-app"):
            DBOS.register_queue("versioned", on_conflict=on_conflict)


def test_a_registration_that_asks_for_the_latest_must_say_its_version(sql: Sql) -> None:
    with pytest.raises(
        psycopg.Error, match="needs an application_name and its application_version"
    ):
        sql.execute(
            "select pyengine.register_queue(queue_name => 'q', on_conflict => 'update_if_latest_version')"
        )


def test_a_pinned_workflow_waits_for_its_version(launch: Launch, sql: Sql) -> None:
    launch(application_version="1")
    queue = DBOS.register_queue("versioned")
    DBOS.pause_queue("versioned")
    handle = queue.enqueue(answer)
    launch(application_version="2")
    DBOS.resume_queue("versioned")
    assert queue.enqueue(answer).get_result() == "2"
    assert stored(sql, handle.workflow_id, "status") == "ENQUEUED"

    launch(application_version="1")

    wait_until(sql, f"exists (select 1 from pyengine.workflows where status = 'SUCCESS' and"
               f" workflow_id = '{handle.workflow_id}')")  # fmt: skip
