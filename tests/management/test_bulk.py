"""Steering everything that matches: page by page, bounded to what was there, no faster than told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, DBOSClient, SetWorkflowID
from pyengine.bulk import PAGE, BulkProgress
from pyengine.error import DBOSException
from tests.management.support import insert

Session = psycopg.Connection[Any]

MANY = PAGE * 2 + 50


@DBOS.workflow()
def bulky() -> str:
    return "done"


def many(sql: Session, number: int = MANY, **columns: object) -> None:
    """Workflows that all were created at the same moment, which is the hardest case for pages."""
    values: dict[str, object] = {
        "status": "ENQUEUED",
        "queue_name": "nobody-serves-this",
        **columns,
    }
    sql.execute(
        "insert into pyengine.workflows (workflow_id, name, application_name, created_at, updated_at, serialization, "
        f"inputs, {', '.join(values)}) select 'w' || n, 'bulky', 'test-app', '2024-01-01', '2024-01-01', 'json', "
        f"""'{{"positionalArgs":[],"namedArgs":{{}}}}', {", ".join(["%s"] * len(values))} """
        "from generate_series(1, %s) n".encode(),
        [*values.values(), number],
    )


def by_status(sql: Session) -> dict[str, int]:
    query = "select status, count(*) from pyengine.workflows group by 1"
    return dict(sql.execute(query).fetchall())


def test_everything_that_matches_is_cancelled_and_nothing_else(
    dbos: type[DBOS], sql: Session
) -> None:
    many(sql)
    insert(sql, "other", status="ENQUEUED", name="other", application_name="test-app")
    told: list[BulkProgress] = []

    cancelled = DBOS.cancel_matching({"name": "bulky"}, progress=told.append)

    assert len(set(cancelled)) == len(cancelled) == MANY
    assert by_status(sql) == {"CANCELLED": MANY, "ENQUEUED": 1}
    assert [each.seen for each in told] == [PAGE, 2 * PAGE, MANY]
    assert told[-1].changed == MANY


def test_what_was_cancelled_is_resumed(dbos: type[DBOS], sql: Session) -> None:
    many(sql, status="CANCELLED", finished_at="2024-01-02")

    resumed = DBOS.resume_matching({"name": "bulky"}, to_queue="nobody-serves-this")

    assert len(resumed) == MANY
    assert by_status(sql) == {"ENQUEUED": MANY}


def test_forks_are_not_forked_again(dbos: type[DBOS], sql: Session) -> None:
    many(sql, PAGE + 20, status="ERROR", finished_at="2024-01-02", error="{}")

    forks = DBOS.fork_matching({"name": "bulky"}, 1, to_queue="nobody-serves-this")

    assert len(forks) == PAGE + 20
    assert by_status(sql) == {"ERROR": PAGE + 20, "ENQUEUED": PAGE + 20}


def test_what_is_old_is_deleted_by_a_condition(dbos: type[DBOS], sql: Session) -> None:
    many(sql, status="SUCCESS", finished_at="2024-01-02")
    with SetWorkflowID("young"):
        bulky()

    DBOS.delete_matching({"where": "status = 'SUCCESS' and created_at < now() - interval '1 day'"})

    assert [status.workflow_id for status in DBOS.list_workflows()] == ["young"]


def test_limit_and_time_bound_it(dbos: type[DBOS], sql: Session) -> None:
    many(sql)

    assert len(DBOS.cancel_matching({"name": "bulky", "limit": PAGE + 1})) == PAGE + 1
    assert DBOS.cancel_matching({"name": "bulky", "end_time": "2023-01-01"}) == []


def test_it_goes_no_faster_than_it_is_told(dbos: type[DBOS], sql: Session) -> None:
    many(sql, 30)

    began = time.monotonic()
    DBOS.cancel_matching({"name": "bulky"}, per_second=60)

    assert time.monotonic() - began >= 0.5


def test_clients_and_async_code_do_it_too(dbos: type[DBOS], sql: Session, engine_url: str) -> None:
    many(sql, 10)
    with DBOSClient(system_database_url=engine_url, application_name="test-app") as client:
        assert len(client.cancel_matching({"name": "bulky"})) == 10
        assert client.verify() == []

    async def main() -> list[list[str]]:
        return [
            await DBOS.resume_matching_async({"name": "bulky"}, to_queue="nobody-serves-this"),
            await DBOS.cancel_matching_async({"name": "bulky"}),
            await DBOS.fork_matching_async({"name": "bulky"}, 1, to_queue="nobody-serves-this"),
            await DBOS.delete_matching_async({"name": "bulky"}),
        ]

    assert [len(ids) for ids in asyncio.run(main())] == [10, 10, 10, 20]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (({},), "no filter was given"),
        (({"nam": "x"},), "unknown filter nam"),
    ],
)
def test_a_slip_does_not_mean_everything(dbos: type[DBOS], arguments: Any, complaint: str) -> None:
    with pytest.raises(DBOSException, match=complaint):
        DBOS.delete_matching(*arguments)
    with pytest.raises(DBOSException, match="per_second is 0"):
        DBOS.cancel_matching({"name": "x"}, per_second=0)
