"""An application gets another name: all that belongs to it, and nothing that belongs to others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, DBOSClient, Queue
from pyengine.error import DBOSException

Connection = psycopg.Connection[Any]

renamed_work = Queue("renamed-work")


@DBOS.workflow(name="renamed-double")
def double(number: int) -> int:
    return 2 * number


def rename(sql: Connection, arguments: str) -> Any:
    text = f"select to_jsonb(r) from pyengine.rename_application({arguments}) r"
    row = sql.execute(text.encode()).fetchone()
    assert row is not None
    return row[0]


def start(sql: Connection, workflow_id: str, application: str | None, **columns: Any) -> None:
    sql.execute(
        "select pyengine.start_workflow('renamed-double', array['4'::json], workflow_id => %s, application_name => %s)",
        [workflow_id, application],
    )


def names(sql: Connection, table: str, key: str) -> dict[str, str | None]:
    return dict(sql.execute(f"select {key}, application_name from pyengine.{table}".encode()))


@pytest.fixture
def shops(sql: Connection) -> Connection:
    """Two applications, `old` and `other`, and what belongs to none."""
    for number, application in enumerate(("old", "old", "old", "other", None)):
        start(sql, f"w{number}", application)
    for application in ("old", "other", None):
        name = application or "none"
        sql.execute(
            "select pyengine.register_queue(queue_name => %s, application_name => %s)",
            [name, application],
        )
        sql.execute(
            "select pyengine.create_schedule(schedule_name => %s, workflow_name => 'f', schedule => '0 3 * * *',"
            " application_name => %s)",
            [name, application],
        )
    for application in ("old", "other"):
        sql.execute(
            "select pyengine.register_application_version(%s, %s)",
            [application, f"{application}-1"],
        )
        sql.execute("select pyengine.set_retention(%s, keep_newest => 9)", [application])
    sql.execute("select pyengine.set_retention(null, keep_newest => 8)")
    return sql


def test_all_that_belongs_to_it_gets_the_new_name_and_nothing_else(shops: Connection) -> None:
    counts = rename(shops, "'old', 'new'")

    assert counts == {
        "queues": 1,
        "schedules": 1,
        "versions": 1,
        "workflows": 3,
        "steps": 0,
        "last_workflow_id": None,
    }
    expected = {"old": "new", "other": "other", "none": None}
    assert names(shops, "queues", "queue_name") == expected
    assert names(shops, "schedules", "schedule_name") == expected
    assert names(shops, "application_versions", "version_name") == {
        "old-1": "new",
        "other-1": "other",
    }
    assert names(shops, "workflows", "workflow_id") == {
        **dict.fromkeys(("w0", "w1", "w2"), "new"),
        "w3": "other",
        "w4": None,
    }
    policies = shops.execute(
        "select application_name, keep_newest from pyengine.retention_policies"
    ).fetchall()
    assert sorted(policies) == [("", 8), ("new", 9), ("other", 9)]


def test_again_there_is_nothing_to_do(shops: Connection) -> None:
    rename(shops, "'old', 'new'")

    counts = rename(shops, "'old', 'new'")

    assert set(counts.values()) == {0, None}


def test_what_belongs_to_none_is_adopted_when_asked_for(shops: Connection) -> None:
    counts = rename(shops, "null, 'new', adopt_unclaimed_rows => true")

    assert (counts["queues"], counts["schedules"], counts["workflows"]) == (1, 1, 1)
    assert names(shops, "workflows", "workflow_id")["w4"] == "new"
    assert names(shops, "workflows", "workflow_id")["w0"] == "old"
    both = rename(shops, "'old', 'new', adopt_unclaimed_rows => true")
    assert (both["queues"], both["workflows"]) == (1, 3)


def test_into_an_application_that_exists(shops: Connection) -> None:
    """What both have is once there: the versions of the later time, the policy of the new name."""
    for application in ("old", "other"):
        shops.execute(
            "insert into pyengine.application_versions values"
            " ('PATCHING_ENABLED', gen_random_uuid(), %s, true, %s, 'epoch')",
            [application, "2030-01-01" if application == "old" else "2029-01-01"],
        )
    shops.execute("select pyengine.set_retention('other', keep_newest => 5)")

    rename(shops, "'old', 'other'")

    found = shops.execute(
        "select version_name, application_name, extract(year from version_timestamp)::int"
        " from pyengine.application_versions where version_name = 'PATCHING_ENABLED'"
    ).fetchall()
    assert found == [("PATCHING_ENABLED", "other", 2030)]
    kept = "select keep_newest from pyengine.retention_policies where application_name = 'other'"
    assert shops.execute(kept).fetchall() == [(5,)]


def test_batches_go_on_where_the_last_one_ended(shops: Connection) -> None:
    first = rename(shops, "'old', 'new', batch_size => 2")
    assert (first["workflows"], first["last_workflow_id"]) == (2, "w1")

    rest = rename(shops, "'old', 'new', batch_size => 2, after_workflow_id => 'w1'")

    assert (rest["workflows"], rest["last_workflow_id"]) == (1, None)
    assert set(names(shops, "workflows", "workflow_id").values()) == {"new", "other", None}


@pytest.mark.parametrize(
    "arguments",
    [
        "'old', null",
        "'old', ' '",
        "'old', repeat('x', 513)",
        "'old', 'old'",
        "null, 'new'",
        "'old', 'new', batch_size => 0",
        "'old', 'new', batch_size => 100001",
        "'old', 'new', batch_size => null",
        "'old', 'new', adopt_unclaimed_rows => null",
    ],
)
def test_what_makes_no_sense_is_refused(shops: Connection, arguments: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        rename(shops, arguments)

    assert caught.value.sqlstate == "PE400"
    assert names(shops, "workflows", "workflow_id")["w0"] == "old"


def test_the_processes_of_the_new_name_run_what_waited(
    dbos: type[DBOS], sql: Connection, engine_url: str
) -> None:
    sql.execute("select pyengine.register_queue('of-old', application_name => 'old')")
    sql.execute(
        "select pyengine.enqueue_workflow('renamed-double', 'of-old', array[to_json(n)], workflow_id => 'q' || n,"
        " application_name => 'old') from generate_series(1, 25) n"
    )
    start(sql, "alone", "old")
    with DBOSClient(system_database_url=engine_url) as client:
        counts = client.rename_application("old", "test-app", batch_size=10)

        assert counts == {"queues": 1, "schedules": 0, "versions": 0, "workflows": 26, "steps": 0}
        assert client.retrieve_workflow("alone").get_result() == 8
        assert client.retrieve_workflow("q25").get_result() == 50


def test_a_run_goes_on_under_the_new_name(dbos: type[DBOS], sql: Connection) -> None:
    @DBOS.workflow(name="renamed-waits")
    def waits() -> Any:
        return DBOS.recv("go", 20)

    handle = DBOS.start_workflow(waits)
    rename(sql, "'test-app', 'elsewhere'")
    DBOS.send(handle.workflow_id, "on", "go")

    assert handle.get_result() == "on"
    assert names(sql, "workflows", "workflow_id")[handle.workflow_id] == "elsewhere"


def test_the_async_twin_counts_steps_too(
    dbos: type[DBOS], sql: Connection, engine_url: str
) -> None:
    @DBOS.step()
    def one() -> int:
        return 1

    @DBOS.workflow(name="renamed-steps")
    def steps() -> int:
        return one() + one()

    steps()

    async def main() -> Any:
        async with DBOSClient(system_database_url=engine_url) as client:
            return await client.rename_application_async("test-app", "new")

    counts = asyncio.run(main())

    assert (counts["workflows"], counts["steps"]) == (1, 2)


def test_it_takes_the_role_admin(
    sql: Connection, login: Callable[..., str], engine_url: str
) -> None:
    start(sql, "w", "old")
    for role in ("client", "worker"):
        url = engine_url.replace("postgres@", f"{login(role)}:secret@")
        with (
            DBOSClient(system_database_url=url) as client,
            pytest.raises((DBOSException, psycopg.Error), match="denied"),
        ):
            client.rename_application("old", "new")
    url = engine_url.replace("postgres@", f"{login('admin')}:secret@")
    with DBOSClient(system_database_url=url) as client:
        assert client.rename_application("old", "new")["workflows"] == 1
