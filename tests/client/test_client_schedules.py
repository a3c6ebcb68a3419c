"""Schedules of a client: of workflows by their names, with the role client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, ClientScheduleInput, DBOSClient
from pyengine.errors import DBOSConflictError, DBOSException
from tests.schedules.wall_clock import utc


@DBOS.workflow()
def report(scheduled_at: datetime, context: Any) -> list[Any]:
    return [scheduled_at, context]


@pytest.fixture
def client(engine_url: str, sql: psycopg.Connection[Any]) -> Iterator[DBOSClient]:
    with DBOSClient(system_database_url=engine_url, application_name="test-app") as client:
        yield client


def test_a_client_creates_steers_and_deletes_schedules(
    client: DBOSClient, launch: Callable[..., None]
) -> None:
    launch()
    client.create_schedule(
        schedule_name="daily", workflow_name="report", schedule="0 12 * * *", context={"n": 1}
    )

    triggered = client.trigger_schedule("daily")
    filled = client.backfill_schedule("daily", utc(2026, 1, 1), utc(2026, 1, 3))

    assert triggered.get_result()[1] == {"n": 1}
    assert [handle.get_result()[0] for handle in filled] == [utc(2026, 1, d, 12) for d in (1, 2)]
    client.pause_schedule("daily")
    (schedule,) = client.list_schedules()
    assert (schedule["status"], schedule["application_name"]) == ("PAUSED", "test-app")
    client.resume_schedule("daily")
    client.delete_schedule("daily")
    assert client.get_schedule("daily") is None


def test_a_client_applies_schedules_together(client: DBOSClient) -> None:
    first: ClientScheduleInput = {
        "schedule_name": "a",
        "workflow_name": "report",
        "schedule": "@daily",
        "application_name": "another-app",
    }
    client.apply_schedules([first])

    with pytest.raises(DBOSException, match="needs workflow_name"):
        client.apply_schedules([{"schedule_name": "b", "schedule": "@daily"}])  # type: ignore[typeddict-item]
    with pytest.raises(DBOSConflictError, match="belongs to application another-app"):
        client.apply_schedules([{**first, "application_name": "test-app"}])
    assert client.list_schedules() == []
    assert len(client.list_schedules(application_name="another-app")) == 1


def test_the_twins_do_the_same(client: DBOSClient) -> None:
    async def use() -> None:
        await client.create_schedule_async(
            schedule_name="a", workflow_name="report", schedule="@daily"
        )
        await client.apply_schedules_async(
            [{"schedule_name": "b", "workflow_name": "report", "schedule": "@daily"}]
        )

    asyncio.run(use())

    assert [schedule["schedule_name"] for schedule in client.list_schedules()] == ["a", "b"]
