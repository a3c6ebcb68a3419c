"""`@DBOS.scheduled`: a workflow that is started by the clock from the launch on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, DBOSConfiguredInstance
from pyengine.errors import DBOSException
from pyengine.registry import registry
from pyengine.testing import Clock
from tests.workflows.support import wait_until

Sql = psycopg.Connection[Any]
Launch = Callable[..., None]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test declares is forgotten after it."""
    for attribute in ("_workflows", "_classes", "_instances"):
        monkeypatch.setattr(registry, attribute, {})


@pytest.fixture
def clock(engine_url: str, sql: Sql) -> Iterator[Clock]:
    """The engine's clock; the test begins in the middle of an hour."""
    with Clock(engine_url, allow=True) as clock:
        ((seconds,),) = sql.execute(
            "select extract(epoch from date_trunc('hour', pyengine.now()) + interval '90 minutes'"
            " - pyengine.now())::float"
        ).fetchall()
        clock.advance(seconds)
        yield clock


def hourly(**options: Any) -> Callable[..., Any]:
    @DBOS.scheduled("0 * * * *", **options)
    @DBOS.workflow(name="hourly")
    def workflow(scheduled_time: datetime, actual_time: datetime) -> list[datetime]:
        return [scheduled_time, actual_time]

    return workflow


def next_run(sql: Sql, clock: Clock) -> Any:
    """Put the clock forward to the next full hour: the result of the workflow that starts then."""
    wait_until(sql, "next_due_at is not null from pyengine.schedules")
    clock.advance(1801)
    wait_until(
        sql,
        "exists (select 1 from pyengine.workflows where finished_at is not null and schedule_name = 'hourly')",
    )
    (status,) = DBOS.list_workflows(schedule_name="hourly")
    return status.output


def test_it_is_called_with_the_time_of_the_tick_and_the_time_it_was_started(
    clock: Clock, launch: Launch, sql: Sql
) -> None:
    hourly()
    launch()

    scheduled_time, actual_time = next_run(sql, clock)

    assert (scheduled_time.minute, scheduled_time.second) == (0, 0)
    assert scheduled_time.utcoffset() == actual_time.utcoffset() == timedelta(0)
    assert timedelta(0) <= actual_time - scheduled_time < timedelta(seconds=20)
    (status,) = DBOS.list_workflows(schedule_name="hourly")
    assert status.workflow_id == f"sched-hourly-{scheduled_time.isoformat()}"


def test_a_function_that_is_decorated_after_the_launch_is_scheduled_at_once(
    clock: Clock, launch: Launch, sql: Sql
) -> None:
    launch()
    hourly()

    assert len(next_run(sql, clock)) == 2


def test_its_options_are_those_of_the_schedule(launch: Launch, sql: Sql) -> None:
    launch()
    DBOS.register_queue("reports")
    hourly(
        cron_timezone="Europe/Berlin",
        queue_name="reports",
        catch_up="last",
        overlap="skip",
        grace_seconds=5,
    )

    (schedule,) = DBOS.list_schedules()
    assert schedule["schedule_name"] == schedule["workflow_name"] == "hourly"
    assert schedule["cron_timezone"] == "Europe/Berlin"
    assert (schedule["queue_name"], schedule["catch_up"]) == ("reports", "last")
    assert (schedule["overlap"], schedule["grace_seconds"]) == ("skip", 5)


def test_a_launch_keeps_the_place_of_a_schedule(launch: Launch, sql: Sql) -> None:
    hourly()
    launch()
    wait_until(sql, "next_due_at is not null from pyengine.schedules")
    before = sql.execute(
        "select schedule_id, upcoming, revision from pyengine.schedules"
    ).fetchall()

    launch()

    query = "select schedule_id, upcoming, revision from pyengine.schedules"
    assert sql.execute(query).fetchall() == before


def test_an_old_version_does_not_bring_back_its_times(launch: Launch) -> None:
    hourly()
    launch(application_version="1")
    DBOS.destroy()
    hourly(cron_timezone="Europe/Berlin")
    launch(application_version="2")
    DBOS.destroy()
    hourly()

    launch(application_version="1")

    (schedule,) = DBOS.list_schedules()
    assert schedule["cron_timezone"] == "Europe/Berlin"


def test_methods_of_classes_are_scheduled_and_those_of_instances_refused(launch: Launch) -> None:
    @DBOS.dbos_class("Reports")
    class Reports:
        @classmethod
        @DBOS.scheduled("0 * * * *")
        @DBOS.workflow(name="of_class")
        def of_class(cls, scheduled: datetime, actual: datetime) -> None: ...

        @staticmethod
        @DBOS.scheduled("0 * * * *")
        @DBOS.workflow(name="static")
        def static(scheduled: datetime, actual: datetime) -> None: ...

    launch()
    found = {each["schedule_name"]: each["workflow_class_name"] for each in DBOS.list_schedules()}
    assert found == {"of_class": "Reports", "static": None}
    DBOS.destroy()

    @DBOS.dbos_class("Configured")
    class Configured(DBOSConfiguredInstance):
        @DBOS.scheduled("0 * * * *")
        @DBOS.workflow()
        def of_instance(self, scheduled: datetime, actual: datetime) -> None: ...

    with pytest.raises(DBOSException, match="method of configured instances"):
        launch()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"cron": "0 * * *"}, "is not a cron expression"),
        ({"cron": "99 * * * *"}, "is not a cron expression"),
        ({"cron": "0 * * * *", "cron_timezone": "Europe/Atlantis"}, "no such time zone"),
        ({"cron": "0 * * * *", "overlap": "x"}, "overlap is 'x'"),
        ({"cron": "0 * * * *", "catch_up": "x"}, "catch_up is 'x'"),
    ],
)
def test_what_is_wrong_is_a_value_error_where_it_is_written(
    options: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        DBOS.scheduled(**options)


def test_it_stands_above_the_workflow() -> None:
    def plain(scheduled: datetime, actual: datetime) -> None: ...

    @DBOS.step()
    def step(scheduled: datetime, actual: datetime) -> None: ...

    with pytest.raises(DBOSException, match=r"which stands above @DBOS.workflow\(\)"):
        DBOS.scheduled("0 * * * *")(plain)
    with pytest.raises(DBOSException, match="is a step"):
        DBOS.scheduled("0 * * * *")(step)
