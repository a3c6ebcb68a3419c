"""A deploy that changes a workflow while a thousand sleep: each ends, and none runs code that does not match."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pyengine import DBOS
from pyengine.errors import DBOSUnexpectedStepError
from pyengine.registry import registry
from pyengine.testing import Clock
from tests.workflows.support import wait_until

Sql = psycopg.Connection[Any]
Launch = Callable[..., None]

COUNT = 1000
ran: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a deploy declares is forgotten after the test."""
    for attribute in ("_workflows", "_classes", "_instances"):
        monkeypatch.setattr(registry, attribute, {})
    ran.clear()


@pytest.fixture
def clock(engine_url: str, sql: Sql) -> Iterator[Clock]:
    with Clock(engine_url, allow=True) as clock:
        yield clock


def step(name: str) -> Any:
    @DBOS.step(name=name)
    async def run() -> str:
        ran[name] += 1
        return name

    return run


def deploy_before() -> Any:
    """Reserve, sleep, charge."""
    reserve, charge = step("reserve"), step("charge")

    @DBOS.workflow(name="order")
    async def order(number: int) -> list[str]:
        reserved = await reserve()
        await DBOS.sleep_async(3600)
        return [reserved, await charge()]

    return order


def deploy_after() -> None:
    """Charge by another name; orders with an odd number check the stock before they reserve anything."""
    reserve, settle, check = step("reserve"), step("settle"), step("check_stock")

    @DBOS.workflow(name="order")
    async def order(number: int) -> list[str]:
        if number % 2:
            await check()
        reserved = await reserve()
        await DBOS.sleep_async(3600)
        return [reserved, await settle()]


def start_all(order: Any, sql: Sql) -> None:
    """Start them, and keep their loop until all sleep: a step that is interrupted would be done again."""

    async def start() -> None:
        await asyncio.gather(*(DBOS.start_workflow_async(order, n) for n in range(COUNT)))
        await asyncio.to_thread(asleep, sql)

    asyncio.run(start())


def asleep(sql: Sql) -> None:
    wait_until(sql, f"count(*) = {COUNT} from pyengine.steps where name = 'DBOS.sleep'")


def test_a_thousand_sleepers_survive_a_change_of_their_code(
    launch: Launch, sql: Sql, clock: Clock
) -> None:
    order = deploy_before()
    launch()
    old_version = DBOS.application_version
    start_all(order, sql)
    DBOS.destroy()
    registry.clear()
    deploy_after()
    ran.clear()

    launch()
    assert DBOS.application_version != old_version
    clock.advance(3601)
    wait_until(sql, "not exists (select 1 from pyengine.workflows where finished_at is null)")

    statuses = sql.execute(
        "select status, count(*) from pyengine.workflows group by 1 order by 1"
    ).fetchall()
    assert statuses == [("ERROR", COUNT // 2), ("SUCCESS", COUNT // 2)]
    # Nothing that was done is done again, and nothing is done that the history does not fit.
    assert ran == {"settle": COUNT // 2}
    failed = DBOS.list_workflows(status="ERROR", limit=1)[0]
    assert isinstance(failed.error, DBOSUnexpectedStepError)
    assert "reserve" in str(failed.error)
    assert "check_stock" in str(failed.error)


def test_a_thousand_sleepers_of_a_pinned_version_wait_for_it(
    launch: Launch, sql: Sql, clock: Clock
) -> None:
    order = deploy_before()
    launch(application_version="1")
    start_all(order, sql)
    DBOS.destroy()
    registry.clear()
    deploy_after()
    # The loop on which they were started ended beneath some of them, so some reserved twice. No more from here on.
    ran.clear()

    launch(application_version="2")
    clock.advance(3601)
    wait_until(sql, "pg_sleep(1.5) is not null")
    unfinished = "select count(*) from pyengine.workflows where finished_at is null"
    assert sql.execute(unfinished).fetchall() == [(COUNT,)]
    DBOS.destroy()
    registry.clear()
    deploy_before()

    launch(application_version="1")

    wait_until(sql, "not exists (select 1 from pyengine.workflows where finished_at is null)")
    statuses = sql.execute("select distinct status from pyengine.workflows").fetchall()
    assert statuses == [("SUCCESS",)]
    assert ran == {"charge": COUNT}
