"""pyengine schedule."""

from __future__ import annotations

import io
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Run

Session = psycopg.Connection[Any]


@pytest.fixture
def created(run: Run, sql: Session) -> None:
    done = run(
        "schedule",
        "create",
        "nightly",
        "f",
        "0 2 * * *",
        *("--timezone", "Europe/Berlin", "-a", "app", "--catch-up", "last"),
        *("--context", '{"pages": 3}'),
    )
    assert (done.status, done.out) == (0, "created nightly\n")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers questions."""
    monkeypatch.setattr("sys.stdin", io.StringIO())


def test_a_schedule_is_created_listed_and_shown(run: Run, created: None) -> None:
    (listed,) = run("schedule", "list", "--json").json
    assert (listed["schedule"], listed["cron_timezone"]) == ("0 2 * * *", "Europe/Berlin")
    assert "context" not in listed
    assert "nightly" in run("schedule", "list", "-a", "app").out
    assert run("schedule", "list", "--status", "PAUSED").err == "no schedules\n"

    shown = run("schedule", "get", "nightly", "--payloads", "--json").json
    assert (shown["context"], shown["ticks"]) == ({"pages": 3}, [])
    text = run("schedule", "get", "nightly")
    assert "pages" not in text.out
    assert "no tick was fired yet" in text.err


def test_a_schedule_is_paused_and_resumed(run: Run, created: None) -> None:
    assert run("schedule", "pause", "nightly").out == "paused nightly\n"
    assert run("schedule", "list", "--json").json[0]["status"] == "PAUSED"
    assert run("schedule", "resume", "nightly").out == "resumed nightly\n"
    assert run("schedule", "list", "--json").json[0]["status"] == "ACTIVE"


def test_a_trigger_and_a_backfill_print_the_ids_of_what_they_start(
    run: Run, created: None, sql: Session
) -> None:
    triggered = run("schedule", "trigger", "nightly").out.strip()
    filled = run(
        "schedule", "backfill", "nightly", "2026-01-01", "2026-01-03T01:00:00Z"
    ).out.splitlines()
    again = run(
        "schedule", "backfill", "nightly", "2026-01-01", "2026-01-03T01:00:00Z"
    ).out.splitlines()

    assert filled == again == [f"sched-nightly-2026-01-0{day}T02:00:00+01:00" for day in (1, 2)]
    query = "select workflow_id from pyengine.workflows order by created_at"
    assert [name for (name,) in sql.execute(query)] == [triggered, *filled]
    ticks = run("schedule", "get", "nightly", "--json").json["ticks"]
    assert [tick["workflow_id"] for tick in ticks] == filled[::-1]


def test_many_ticks_are_asked_for(run: Run, created: None, sql: Session, nobody: None) -> None:
    done = run("schedule", "backfill", "nightly", "2026-01-01", "2026-06-01")
    assert (done.status, "nothing was fired" in done.err) == (1, True)

    assert run("schedule", "backfill", "nightly", "2026-01-01", "2026-06-01", "--yes").status == 0
    assert sql.execute("select count(*) from pyengine.workflows").fetchall() == [(151,)]


def test_what_a_full_queue_refuses_is_told(run: Run, created: None, sql: Session) -> None:
    sql.execute("select pyengine.register_queue('small', max_depth => 1)")
    run("schedule", "create", "s", "f", "0 2 * * *", "--queue-name", "small")

    done = run("schedule", "backfill", "s", "2026-01-01", "2026-01-03")

    assert done.status == 1
    assert done.out.splitlines()[1] == "2026-01-02T02:00:00+00:00: the queue is full"
    assert "when the queue has room" in done.err


def test_a_schedule_is_deleted_after_a_question(run: Run, created: None, nobody: None) -> None:
    assert run("schedule", "delete", "nightly").status == 1
    assert run("schedule", "delete", "nightly", "-y").out == "deleted nightly\n"
    assert run("schedule", "list").err == "no schedules\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["get", "x"], 3, "there is no schedule x"),
        (["pause", "x"], 3, "there is no schedule x"),
        (["resume", "x"], 3, "there is no schedule x"),
        (["trigger", "x"], 3, "there is no schedule x"),
        (["backfill", "x", "2026-01-01", "2026-01-02"], 3, "there is no schedule x"),
        (["delete", "x", "-y"], 3, "there is no schedule x"),
        (["backfill", "nightly", "today", "2026-01-02"], 2, "is no time in ISO 8601"),
        (["create", "nightly", "f", "0 2 * * *"], 1, "schedule nightly exists already"),
        (["create", "y", "f", "0 2 * *"], 1, "is not a cron expression"),
        (["create", "y", "f", "@daily", "--timezone", "Nowhere"], 1, "no such time zone"),
        (["create", "y", "f", "@daily", "--context", "{"], 2, "--context is no JSON"),
        (["create", "y", "f", "@daily", "--queue-name", "none"], 1, "there is no queue none"),
    ],
)
def test_what_is_wrong_is_told(
    run: Run, created: None, arguments: list[str], status: int, said: str
) -> None:
    done = run("schedule", *arguments)

    assert (done.status, said in done.err) == (status, True), done
