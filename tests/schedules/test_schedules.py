"""Schedules: who creates them, when their workflows start, and what happens to ticks that were missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, DBOSConfiguredInstance, ScheduleInput, SetWorkflowID
from pyengine.current import get_runtime
from pyengine.errors import (
    DBOSBackpressureError,
    DBOSConflictError,
    DBOSException,
    DBOSInvalidArgumentError,
)
from pyengine.testing import Clock
from tests.schedules.wall_clock import utc
from tests.workflows.support import Gate, steps_of, stored, wait_until

Sql = psycopg.Connection[Any]
Launch = Callable[..., None]

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

gates: dict[str, Gate] = {}


@DBOS.workflow()
def report(scheduled_at: datetime, context: Any) -> list[Any]:
    return [scheduled_at, context]


@DBOS.workflow()
def slow(scheduled_at: datetime, context: Any) -> None:
    gates[context].pass_through()


@DBOS.workflow()
async def report_async(scheduled_at: datetime, context: Any) -> datetime:
    return scheduled_at


@DBOS.dbos_class()
class Reports(DBOSConfiguredInstance):
    @DBOS.workflow()
    def of_instance(self, scheduled_at: datetime, context: Any) -> None: ...

    @classmethod
    @DBOS.workflow()
    def of_class(cls, scheduled_at: datetime, context: Any) -> str:
        return cls.__name__


@pytest.fixture
def clock(engine_url: str, sql: Sql) -> Iterator[Clock]:
    """The engine's clock, which stands at the full hour when the test begins."""
    with Clock(engine_url, allow=True) as clock:
        ((seconds,),) = sql.execute(
            "select extract(epoch from date_trunc('day', pyengine.now()) + interval '36 hours 1 second'"
            " - pyengine.now())::float"
        ).fetchall()
        clock.advance(seconds)
        yield clock


@pytest.fixture
def dbos(clock: Clock, launch: Launch) -> type[DBOS]:
    launch()
    return DBOS


def planned(sql: Sql) -> None:
    """All schedules know their next tick."""
    wait_until(
        sql,
        "not exists (select 1 from pyengine.schedules where next_due_at is null and error is null)",
    )


def started(sql: Sql, count: int, name: str = "%") -> list[str]:
    """The ticks that started a workflow, once there are so many and all have ended."""
    wait_until(
        sql,
        f"count(*) >= {count} and coalesce(bool_and(w.finished_at is not null), true) from pyengine.schedule_ticks t"
        " left join pyengine.workflows w using (workflow_id)"
        f" where t.outcome = 'started' and t.schedule_name like '{name}'",
    )
    rows = sql.execute(
        "select workflow_id from pyengine.schedule_ticks where outcome = 'started'"
        " and schedule_name like %s order by tick_at",
        [name],
    ).fetchall()
    assert len(rows) == count
    return [workflow_id for (workflow_id,) in rows]


def outcomes(sql: Sql) -> list[str]:
    query = "select outcome from pyengine.schedule_ticks order by tick_at"
    return [outcome for (outcome,) in sql.execute(query)]


def work(sql: Sql) -> None:
    """Let the scheduler do all that is to do now."""
    get_runtime("test").engine.schedules_changed()
    wait_until(
        sql,
        "not exists (select 1 from pyengine.schedules where status = 'ACTIVE' and error is null"
        " and (next_due_at is null or next_due_at <= pyengine.now()))",
    )


def create(name: str = "s", cron: str = "0 * * * *", fn: Any = report, **options: Any) -> None:
    DBOS.create_schedule(schedule_name=name, workflow_fn=fn, schedule=cron, **options)


def test_a_workflow_starts_at_each_tick_with_its_time_and_the_context(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    create(context={"depth": 3, "since": utc(2026, 1, 1)}, cron_timezone="Europe/Berlin")
    planned(sql)
    assert started(sql, 0) == []

    clock.advance(HOUR)

    (workflow_id,) = started(sql, 1)
    scheduled_at, context = DBOS.retrieve_workflow(workflow_id).get_result()
    assert workflow_id == f"sched-s-{scheduled_at.isoformat()}"
    assert (scheduled_at.minute, scheduled_at.second) == (0, 0)
    assert scheduled_at.utcoffset() in (timedelta(hours=1), timedelta(hours=2))
    assert context == {"depth": 3, "since": utc(2026, 1, 1)}
    (status,) = DBOS.list_workflows(schedule_name="s")
    assert (status.workflow_id, status.schedule_name) == (workflow_id, "s")
    (schedule,) = DBOS.list_schedules()
    assert datetime.fromisoformat(schedule["last_fired_at"] or "") == scheduled_at


def test_a_tick_is_fired_within_a_second(dbos: type[DBOS], sql: Sql) -> None:
    create(cron="* * * * * *")

    wait_until(sql, "count(*) >= 4 from pyengine.schedule_ticks")

    query = "select max(fired_at - tick_at), min(fired_at - tick_at) from pyengine.schedule_ticks"
    ((latest, earliest),) = sql.execute(query).fetchall()
    assert timedelta(0) <= earliest <= latest < timedelta(seconds=1)


def test_a_process_without_due_schedules_does_nothing_for_them(
    dbos: type[DBOS], sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    create()
    planned(sql)
    engine = get_runtime("test").engine
    calls: list[str] = []
    monkeypatch.setattr(engine._scheduler, "work", lambda: calls.append("work"))

    wait_until(sql, "pg_sleep(2.5) is not null")

    assert (
        len(calls) < 2
    )  # what was said of the new schedule may be heard now; a tick a second would be more


def test_what_is_fired_is_run_by_the_latest_version(clock: Clock, launch: Launch, sql: Sql) -> None:
    launch(application_version="1")
    create()
    planned(sql)
    sql.execute(
        "select pyengine.register_application_version(application_name => 'test-app', version_name => '2')"
    )

    clock.advance(HOUR)
    wait_until(sql, "exists (select 1 from pyengine.schedule_ticks where outcome = 'started')")

    query = "select application_version, version_is_pinned, status from pyengine.workflows"
    assert sql.execute(query).fetchall() == [("2", True, "ENQUEUED")]
    launch(application_version="2")
    started(sql, 1)


@pytest.mark.parametrize(("catch_up", "count"), [("skip", 0), ("last", 1), ("all", 5)])
def test_ticks_that_nobody_fired_in_time(
    launch: Launch, clock: Clock, sql: Sql, catch_up: str, count: int
) -> None:
    launch()
    create(catch_up=catch_up)
    planned(sql)
    DBOS.destroy()
    clock.advance(5 * HOUR + 10 * MINUTE)

    launch()
    work(sql)

    ids = started(sql, count)
    (schedule,) = DBOS.list_schedules()
    last = datetime.fromisoformat(schedule["last_fired_at"]) if schedule["last_fired_at"] else None
    if catch_up == "last":
        assert last is not None
        assert ids == [f"sched-s-{last.isoformat()}"]
        assert timedelta(minutes=10) <= _now(sql) - last <= timedelta(minutes=11)
    if catch_up != "all":
        assert schedule["last_missed_at"] is not None

    clock.advance(50 * MINUTE)
    assert len(started(sql, count + 1)) == count + 1


def _now(sql: Sql) -> datetime:
    ((now,),) = sql.execute("select pyengine.now()").fetchall()
    moment: datetime = now
    return moment


def test_a_tick_within_the_grace_is_not_missed(launch: Launch, clock: Clock, sql: Sql) -> None:
    launch()
    create("patient", grace_seconds=600)
    create("strict")
    planned(sql)
    DBOS.destroy()
    clock.advance(HOUR + 5 * MINUTE)

    launch()
    work(sql)

    assert len(started(sql, 1, "patient")) == 1
    assert started(sql, 0, "strict") == []


def test_last_of_very_many_missed_ticks_is_the_last(launch: Launch, clock: Clock, sql: Sql) -> None:
    launch()
    create(cron="*/5 * * * * *", catch_up="last", grace_seconds=0)
    planned(sql)
    sql.execute("update pyengine.schedules set status = 'PAUSED'")
    clock.advance(30 * DAY)
    before = _now(sql)

    sql.execute("update pyengine.schedules set status = 'ACTIVE'")
    work(sql)

    wait_until(sql, "count(*) >= 1 from pyengine.schedule_ticks")
    ((first,),) = sql.execute("select min(tick_at) from pyengine.schedule_ticks").fetchall()
    assert timedelta(seconds=-5) < first - before < timedelta(seconds=5)


def test_all_of_many_missed_ticks_run_once_each(launch: Launch, clock: Clock, sql: Sql) -> None:
    launch()
    create(cron="* * * * *", automatic_backfill=True)
    planned(sql)
    clock.advance(20 * HOUR)

    work(sql)

    query = """
        select count(*), count(distinct tick_at), max(tick_at) - min(tick_at)
        from pyengine.schedule_ticks where outcome = 'started'
    """
    ((count, distinct, span),) = sql.execute(query).fetchall()
    assert count == distinct == span / timedelta(minutes=1) + 1
    assert 1200 <= count <= 1201


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("allow", ["started", "started", "started"]),
        ("skip", ["started", "overlapped", "started"]),
        ("queue", ["started", "started", "started"]),
    ],
)
def test_a_tick_while_a_workflow_of_the_schedule_is_active(
    dbos: type[DBOS], sql: Sql, clock: Clock, overlap: str, expected: list[str]
) -> None:
    gate = gates[overlap] = Gate()
    create(fn=slow, context=overlap, overlap=overlap)
    planned(sql)
    clock.advance(HOUR)
    gate.reached.wait()

    clock.advance(HOUR)
    wait_until(sql, "count(*) = 2 from pyengine.schedule_ticks")
    if overlap == "queue":
        get_runtime("test").engine.look_again()
        wait_until(sql, "pg_sleep(0.2) is not null")
        running = "select count(*) from pyengine.workflows where status = 'PENDING'"
        assert sql.execute(running).fetchall() == [(1,)]
    gate.open.set()
    wait_until(sql, "not exists (select 1 from pyengine.workflows where finished_at is null)")
    clock.advance(HOUR)

    wait_until(sql, "count(*) = 3 from pyengine.schedule_ticks")
    assert outcomes(sql) == expected
    started(sql, expected.count("started"))


def test_ticks_that_wait_for_each_other_need_no_queue_of_the_users(
    dbos: type[DBOS], sql: Sql
) -> None:
    create(overlap="queue")

    (schedule,) = DBOS.list_schedules()
    assert schedule["queue_name"] == "_pyengine_schedules"
    assert "_pyengine_schedules" not in {queue.name for queue in DBOS.list_queues()}


def test_a_process_that_listens_to_some_queues_runs_waiting_ticks_too(
    clock: Clock, launch: Launch, sql: Sql, config: Any
) -> None:
    DBOS.destroy()
    DBOS(config=config)
    DBOS.listen_queues(["another"])
    DBOS.launch()
    create(overlap="queue")
    planned(sql)

    clock.advance(HOUR)

    assert len(started(sql, 1)) == 1


def test_a_paused_schedule_fires_nothing_and_skips_what_it_missed(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    create()
    planned(sql)
    DBOS.pause_schedule("s")
    clock.advance(HOUR)
    (schedule,) = DBOS.list_schedules(status="PAUSED")
    assert schedule["schedule_name"] == "s"

    DBOS.resume_schedule("s")
    work(sql)
    assert started(sql, 0) == []

    clock.advance(HOUR)
    assert len(started(sql, 1)) == 1


def test_a_trigger_starts_a_workflow_at_once_even_of_a_paused_schedule(
    dbos: type[DBOS], sql: Sql
) -> None:
    create(context="c")
    DBOS.pause_schedule("s")

    handle = DBOS.trigger_schedule("s")

    scheduled_at, context = handle.get_result()
    assert context == "c"
    assert handle.workflow_id == f"sched-s-trigger-{scheduled_at.isoformat()}"
    assert abs(scheduled_at - _now(sql)) < timedelta(seconds=20)
    assert DBOS.retrieve_workflow(handle.workflow_id).get_status().schedule_name == "s"


def test_a_backfill_fires_each_tick_of_a_range_once(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    create(cron_timezone="Europe/Berlin", cron="0 12 * * *")
    start = datetime(2026, 3, 27, 11)  # noqa: DTZ001 - without a zone it is in UTC
    end = utc(2026, 3, 31, 10)

    handles = DBOS.backfill_schedule("s", start, end)
    again = DBOS.backfill_schedule("s", utc(2026, 3, 26), end)

    assert [handle.workflow_id for handle in handles] == [
        "sched-s-2026-03-28T12:00:00+01:00",
        "sched-s-2026-03-29T12:00:00+02:00",
        "sched-s-2026-03-30T12:00:00+02:00",
    ]
    assert [handle.workflow_id for handle in again][2:] == [
        handle.workflow_id for handle in handles
    ]
    assert handles[1].get_result()[0] == utc(2026, 3, 29, 10)
    assert len(started(sql, 5)) == 5


def test_a_tick_that_was_backfilled_before_it_was_due_is_not_fired_again(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    create()
    planned(sql)
    now = _now(sql)
    (handle,) = DBOS.backfill_schedule(
        "s", now, now + timedelta(hours=1, minutes=-1) + timedelta(minutes=2)
    )

    clock.advance(HOUR)
    work(sql)

    assert started(sql, 1) == [handle.workflow_id]


def test_a_backfill_does_not_go_behind_what_is_forgotten(dbos: type[DBOS], sql: Sql) -> None:
    create(cron="* * * * *")
    sql.execute(
        "insert into pyengine.schedule_ticks (schedule_name, tick_at, fired_at, outcome)"
        " select 's', t, t, 'started' from generate_series(timestamptz '2026-01-01', '2026-01-03', '1 minute') t"
    )
    planned(sql)

    sql.execute("update pyengine.schedules set plan_at = pyengine.now()")
    work(sql)
    wait_until(sql, "count(*) = 1881 from pyengine.schedule_ticks")
    with pytest.raises(DBOSInvalidArgumentError, match="can be backfilled after"):
        DBOS.backfill_schedule("s", utc(2026, 1, 1), utc(2026, 1, 1, 1))


def test_somebody_elses_workflow_with_the_id_of_a_tick_does_not_keep_it_from_running(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    create()
    planned(sql)
    ((tick,),) = sql.execute("select upcoming[1] from pyengine.schedules").fetchall()
    with SetWorkflowID(f"sched-s-{tick}"):
        DBOS.start_workflow(report, utc(2000, 1, 1), None)

    clock.advance(HOUR)

    (workflow_id,) = started(sql, 1)
    assert workflow_id.startswith(f"sched-s-{tick}-")
    assert DBOS.retrieve_workflow(workflow_id).get_result()[0] == datetime.fromisoformat(tick)


def test_a_full_queue_refuses_a_tick_a_trigger_and_a_backfill(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    shallow = DBOS.register_queue("shallow", max_depth=1)
    DBOS.pause_queue("shallow")
    create(queue_name="shallow")
    planned(sql)
    assert shallow.enqueue(report, 1, 2) is not None

    with pytest.raises(DBOSBackpressureError, match="is full"):
        DBOS.trigger_schedule("s")
    with pytest.raises(DBOSBackpressureError, match="1 of 1 ticks"):
        DBOS.backfill_schedule("s", utc(2026, 1, 1), utc(2026, 1, 1, 1, 30))
    clock.advance(HOUR)
    wait_until(sql, "count(*) = 2 from pyengine.schedule_ticks")
    assert outcomes(sql) == ["refused", "refused"]

    DBOS.resume_queue("shallow")
    wait_until(sql, "not exists (select 1 from pyengine.workflows where finished_at is null)")
    (handle,) = DBOS.backfill_schedule("s", utc(2026, 1, 1), utc(2026, 1, 1, 1, 30))
    assert handle.get_result()[1] is None


def test_schedules_are_applied_together_and_keep_their_place(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    first: ScheduleInput = {"schedule_name": "a", "workflow_fn": report, "schedule": "0 * * * *"}
    second: ScheduleInput = {"schedule_name": "b", "workflow_fn": report, "schedule": "0 0 1 1 *"}
    DBOS.apply_schedules([first, second])
    planned(sql)
    DBOS.pause_schedule("b")
    before = sql.execute(
        "select schedule_id, status, upcoming, planned_until from pyengine.schedules order by 1"
    ).fetchall()

    DBOS.apply_schedules([{**first, "context": 1}, second])

    after = sql.execute(
        "select schedule_id, status, upcoming, planned_until from pyengine.schedules order by 1"
    ).fetchall()
    assert after == before
    assert [schedule["context"] for schedule in DBOS.list_schedules()] == [1, None]


def test_other_times_count_from_now_on(dbos: type[DBOS], sql: Sql, clock: Clock) -> None:
    create(automatic_backfill=True)
    planned(sql)
    changed: ScheduleInput = {
        "schedule_name": "s",
        "workflow_fn": report,
        "schedule": "30 * * * *",
        "automatic_backfill": True,
    }
    DBOS.apply_schedules([changed])
    planned(sql)

    clock.advance(HOUR)

    (workflow_id,) = started(sql, 1)
    assert "T12:30" in workflow_id


def test_one_wrong_schedule_applies_none(dbos: type[DBOS], sql: Sql) -> None:
    good: ScheduleInput = {"schedule_name": "a", "workflow_fn": report, "schedule": "0 * * * *"}

    for wrong, match in (
        ({"queue_name": "nowhere"}, "there is no queue nowhere"),
        ({"schedule": "never"}, "is not a cron expression"),
        ({"cron_timezone": "Europe/Atlantis"}, "no such time zone"),
        ({"workflow_fn": print}, "not a registered workflow"),
        ({"workflow_fn": None}, "needs workflow_fn"),
        ({"minute": 5}, "has no minute"),
        ({"overlap": "maybe"}, "overlap is 'maybe'"),
        ({"catch_up": "maybe"}, "catch_up is 'maybe'"),
        ({"catch_up": "last", "automatic_backfill": True}, "give one of them"),
        ({"grace_seconds": -1}, "grace_seconds is -1"),
        ({"workflow_fn": Reports.of_instance}, "method of configured instances"),
        ({"schedule_name": " "}, "schedule_name must have"),
    ):
        bad: Any = {**good, "schedule_name": "b", **wrong}
        with pytest.raises(DBOSException, match=match):
            DBOS.apply_schedules([good, bad])
    with pytest.raises(DBOSException, match="given twice: a"):
        DBOS.apply_schedules([good, good])
    DBOS.apply_schedules([])

    assert DBOS.list_schedules() == []


def test_a_name_is_taken_once(dbos: type[DBOS], launch: Launch) -> None:
    create()
    with pytest.raises(DBOSConflictError, match="schedule s exists already"):
        create()

    launch(name="another-app")
    with pytest.raises(DBOSConflictError, match="schedule s belongs to application test-app"):
        create()
    assert DBOS.list_schedules() == []
    assert len(DBOS.list_schedules(application_name="test-app")) == 1


def test_schedules_are_listed_by_filters(dbos: type[DBOS], sql: Sql) -> None:
    create("nightly-a")
    create("nightly-b", fn=report_async)
    create("weekly", fn=Reports.of_class)
    planned(sql)

    def names(**filters: Any) -> list[str]:
        return [schedule["schedule_name"] for schedule in DBOS.list_schedules(**filters)]

    assert names() == ["nightly-a", "nightly-b", "weekly"]
    assert names(schedule_name_prefix="nightly") == ["nightly-a", "nightly-b"]
    assert names(schedule_name_prefix=["nightly-b", "week"]) == ["nightly-b", "weekly"]
    assert names(workflow_name="report") == ["nightly-a"]
    assert names(status=["PAUSED"]) == []
    assert DBOS.get_schedule("weekly") == DBOS.list_schedules(schedule_name_prefix="weekly")[0]
    assert DBOS.get_schedule("nothing") is None


def test_what_there_is_not_is_left_alone_or_refused(dbos: type[DBOS]) -> None:
    DBOS.pause_schedule("nothing")
    DBOS.resume_schedule("nothing")
    DBOS.delete_schedule("nothing")
    with pytest.raises(DBOSException, match="there is no schedule nothing"):
        DBOS.trigger_schedule("nothing")
    with pytest.raises(DBOSException, match="there is no schedule nothing"):
        DBOS.backfill_schedule("nothing", utc(2026, 1, 1), utc(2026, 1, 2))


def test_a_deleted_schedule_fires_nothing_and_its_workflows_stay(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    create()
    planned(sql)
    clock.advance(HOUR)
    (workflow_id,) = started(sql, 1)

    DBOS.delete_schedule("s")
    clock.advance(HOUR)
    get_runtime("test").engine._scheduler.work()

    assert stored(sql, workflow_id, "status") == "SUCCESS"
    assert len(DBOS.list_workflows(schedule_name="s")) == 1


def test_class_methods_and_coroutines_are_scheduled_too(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    create("class", fn=Reports.of_class)
    create("async", fn=report_async)
    planned(sql)

    clock.advance(HOUR)

    (of_class,) = started(sql, 1, "class")
    (of_async,) = started(sql, 1, "async")
    assert DBOS.retrieve_workflow(of_class).get_result() == "Reports"
    assert of_async.endswith(DBOS.retrieve_workflow(of_async).get_result().isoformat())


def test_the_twins_do_the_same(dbos: type[DBOS], sql: Sql) -> None:
    async def use() -> None:
        await DBOS.create_schedule_async(
            schedule_name="s", workflow_fn=report, schedule="0 12 * * *", context=[1]
        )
        await DBOS.apply_schedules_async(
            [{"schedule_name": "t", "workflow_fn": report, "schedule": "@daily"}]
        )
        assert [each["schedule_name"] for each in await DBOS.list_schedules_async()] == ["s", "t"]
        await DBOS.pause_schedule_async("t")
        await DBOS.pause_schedule_async("s")
        await DBOS.resume_schedule_async("s")
        found = await DBOS.get_schedule_async("s")
        assert found is not None
        assert (found["status"], found["context"]) == ("ACTIVE", [1])
        triggered = await DBOS.trigger_schedule_async("t")
        assert (await triggered.get_result())[1] is None
        (handle,) = await DBOS.backfill_schedule_async("s", utc(2026, 1, 1), utc(2026, 1, 2))
        assert (await handle.get_result())[1] == [1]
        await DBOS.delete_schedule_async("t")

    asyncio.run(use())

    assert [each["schedule_name"] for each in DBOS.list_schedules()] == ["s"]


@DBOS.workflow()
def manager() -> list[str]:
    create("managed")
    DBOS.pause_schedule("managed")
    DBOS.resume_schedule("managed")
    found = DBOS.get_schedule("managed")
    names = [each["schedule_name"] for each in DBOS.list_schedules()]
    DBOS.delete_schedule("managed")
    return [found["status"] if found else "none", *names]


@DBOS.workflow()
def meddler(what: str) -> None:
    if what == "apply":
        DBOS.apply_schedules([])
    elif what == "trigger":
        DBOS.trigger_schedule("s")
    else:
        DBOS.backfill_schedule("s", utc(2026, 1, 1), utc(2026, 1, 2))


def test_in_a_workflow_they_are_steps(dbos: type[DBOS]) -> None:
    with SetWorkflowID("manager"):
        assert manager() == ["ACTIVE", "managed"]

    assert steps_of("manager") == [
        (1, "DBOS.createSchedule"),
        (2, "DBOS.pauseSchedule"),
        (3, "DBOS.resumeSchedule"),
        (4, "DBOS.getSchedule"),
        (5, "DBOS.listSchedules"),
        (6, "DBOS.deleteSchedule"),
    ]
    forked = DBOS.fork_workflow("manager", 7) if hasattr(DBOS, "fork_workflow") else None
    if forked is not None:
        assert forked.get_result() == ["ACTIVE", "managed"]


@pytest.mark.parametrize("what", ["apply", "trigger", "backfill"])
def test_some_are_refused_in_a_workflow(dbos: type[DBOS], what: str) -> None:
    create()
    with pytest.raises(DBOSException, match="can't be called in a workflow"):
        meddler(what)


def test_a_schedule_whose_workflow_nobody_has_piles_up_nothing(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    sql.execute(
        "select pyengine.create_schedule(schedule_name => 's', workflow_name => 'gone', schedule => '0 * * * *')"
    )
    planned(sql)

    clock.advance(HOUR)
    get_runtime("test").engine._scheduler.work()

    assert sql.execute("select count(*) from pyengine.workflows").fetchall() == [(0,)]


def test_a_schedule_of_sql_calls_with_portable_values(
    dbos: type[DBOS], sql: Sql, clock: Clock
) -> None:
    sql.execute(
        "select pyengine.create_schedule(schedule_name => 's', workflow_name => 'report',"
        " schedule => '0 * * * *', context => '{\"a\": 1}', application_name => 'test-app')"
    )
    planned(sql)

    clock.advance(HOUR)

    (workflow_id,) = started(sql, 1)
    inputs = stored(sql, workflow_id, "inputs")
    assert inputs["positionalArgs"][0].endswith("T13:00:00.000Z")
    assert inputs["positionalArgs"][1] == {"a": 1}


def test_what_can_never_fire_says_so_and_is_left_alone(
    dbos: type[DBOS], sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    create(cron="0 0 30 2 *")
    wait_until(sql, "error is not null from pyengine.schedules")
    DBOS.create_schedule(schedule_name="t", workflow_fn=report, schedule="0 * * * *")
    sql.execute("update pyengine.schedules set cron_timezone = 'Europe/Atlantis', plan_at = pyengine.now(),"
                " revision = revision + 1, upcoming = '{}' where schedule_name = 't'")  # fmt: skip
    get_runtime("test").engine.schedules_changed()

    wait_until(sql, "count(*) = 2 from pyengine.schedules where error is not null")

    errors = {each["schedule_name"]: each["error"] or "" for each in DBOS.list_schedules()}
    assert "no further time" in errors["s"]
    assert "Europe/Atlantis" in errors["t"]
    wait_until(sql, "min(plan_at) > pyengine.now() + interval '5 minutes' from pyengine.schedules")
    DBOS.apply_schedules([{"schedule_name": "t", "workflow_fn": report, "schedule": "0 * * * *"}])
    wait_until(sql, "error is null from pyengine.schedules where schedule_name = 't'")


def test_sql_refuses_what_is_wrong(sql: Sql) -> None:
    base = {"schedule_name": "s", "workflow_name": "w", "schedule": "0 * * * *"}
    for wrong, code in (
        ({"schedule_name": ""}, "PE400"),
        ({"workflow_name": " "}, "PE400"),
        ({"schedule": "0 * * *"}, "PE400"),
        ({"schedule": "0 * * * ;"}, "PE400"),
        ({"cron_timezone": "Nowhere"}, "PE400"),
        ({"catch_up": "some"}, "PE400"),
        ({"overlap": "some"}, "PE400"),
        ({"serialization": "pickle"}, "PE400"),
        ({"second_argument": "none"}, "PE400"),
        ({"grace_seconds": -1}, "PE400"),
        ({"max_attempts": 0}, "PE400"),
        ({"automatic_backfill": True, "catch_up": "last"}, "PE400"),
        ({"queue_name": "nowhere"}, "PE404"),
        ({"context": "x" * 2_000_000}, "PE413"),
    ):
        with pytest.raises(psycopg.Error) as caught:
            sql.execute(
                "select pyengine.apply_schedules(schedules => %s)",
                [json.dumps([{**base, **wrong}])],
            )
        assert caught.value.sqlstate == code, wrong
    for call in (
        "backfill_schedule(schedule_name => 's', ticks => '{2026-01-01}')",
        "apply_schedules(schedules => '[]', on_conflict => 'perhaps')",
        "register_application_version(application_name => 'a', version_name => '')",
    ):
        if call.startswith("apply"):
            sql.execute(f"select pyengine.{call}")
            continue
        with pytest.raises(psycopg.Error) as caught:
            sql.execute(f"select pyengine.{call}")
        assert caught.value.sqlstate == "PE400", call
