"""pyengine workflow timeline: the picture of one workflow."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psycopg
import pytest

import pyengine
from pyengine import DBOS, Queue, SetWorkflowID
from pyengine.commands.printing import columns_of
from pyengine.commands.timeline import terminal
from pyengine.commands.timeline.folding import folded
from pyengine.commands.timeline.rows import Row
from tests.cli.conftest import Process, Run
from tests.cli.program import pyengine as program
from tests.cli.terminal import on_a_terminal, visible
from tests.workflows.support import declare_dead, hibernates, pending_elsewhere, wait_until

Session = psycopg.Connection[Any]
Enqueue = Callable[..., None]

README = Path(pyengine.__file__).parents[1] / "README.md"

BEGIN = "2026-11-25 02:58:00+00"


def store_workflow(sql: Session, workflow_id: str, **fields: object) -> None:
    """Store a workflow; a number is seconds behind BEGIN where the column is a time."""
    row: dict[str, object] = {
        "name": "place_order", "status": "SUCCESS", "created_at": 0, "updated_at": 0, "attempt_count": 1,
        "serialization": "json", "inputs": '"secret-input"', **fields,
    }  # fmt: skip
    store(sql, "workflows", {"workflow_id": workflow_id, **row})


def store_step(
    sql: Session,
    workflow_id: str,
    step_id: int,
    name: str,
    begin: float,
    end: float,
    **fields: object,
) -> None:
    row = {"workflow_id": workflow_id, "step_id": step_id, "name": name, "attempt": 1, **fields}
    row = {"output": None if "error" in row else '"secret-output"', **row}
    store(sql, "steps", {**row, "started_at": begin, "completed_at": end, "serialization": "json"})


def store(sql: Session, table: str, row: dict[str, Any]) -> None:
    values = [
        f"timestamptz '{BEGIN}' + interval '{value} s'"
        if key.endswith(("_at", "_until"))
        else psycopg.sql.Literal(value).as_string(sql)
        for key, value in row.items()
    ]
    columns = ", ".join(row)
    sql.execute(f"insert into pyengine.{table} ({columns}) values ({', '.join(values)})".encode())


def store_loop(sql: Session, *, failing: int = 0) -> None:
    """Store a workflow of 9999 steps of a name."""
    store_workflow(sql, "loop", started_at=0, finished_at=10_000)
    sql.execute(
        "insert into pyengine.steps (workflow_id, step_id, name, attempt, started_at, completed_at, serialization,"
        f" error) select 'loop', i, 'poll', 1, timestamptz '{BEGIN}' + i * interval '1 s',"
        f" timestamptz '{BEGIN}' + (i + 0.5) * interval '1 s', 'json', case when i = {failing} then '{{}}'::json end"
        " from generate_series(1, 9999) i"
    )


def rows_of(run: Run, workflow_id: str, *options: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run("workflow", "timeline", workflow_id, "--json", *options).json[
        "rows"
    ]
    return rows


def told(rows: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(row["kind"], row["name"], row["outcome"]) for row in rows]


def seconds(row: dict[str, Any]) -> tuple[float, float]:
    """When a row began and ended, in seconds behind BEGIN."""
    begin = datetime.fromisoformat(BEGIN)
    started, ended = (datetime.fromisoformat(row[key]) for key in ("started_at", "ended_at"))
    return (started - begin).total_seconds(), (ended - begin).total_seconds()


def bars(output: str) -> dict[str, str]:
    """What stands behind the name of each line."""
    found = re.findall(r"^ *(?:\d+ )?(\S+) (.*)$", output, flags=re.MULTILINE)
    return {name: bar.strip() for name, bar in found}


@pytest.fixture
def order(sql: Session) -> None:
    """An order whose first worker died, which waited for a message, had a child, polled, and failed at its end."""
    store_workflow(
        sql, "order-7", status="ERROR", queue_name="orders", started_at=31, finished_at=95, attempt_count=2,
        executor_name="worker-b", error='"secret-error"',
    )  # fmt: skip
    store_step(sql, "order-7", 1, "reserve", 4, 6.5)
    store_step(sql, "order-7", 2, "charge", 6.5, 15)
    store_step(sql, "order-7", 3, "pack", 31.1, 31.1, attempt=2, child_workflow_id="order-7-3")
    store_workflow(
        sql,
        "order-7-3",
        name="pack",
        created_at=31.1,
        started_at=33,
        finished_at=50,
        parent_workflow_id="order-7",
    )
    store_step(sql, "order-7-3", 1, "fetch_goods", 33, 47)
    store_step(
        sql, "order-7", 4, "DBOS.getResult", 50, 50, attempt=2, child_workflow_id="order-7-3"
    )
    store_step(sql, "order-7", 5, "DBOS.recv", 68, 68, attempt=2)
    store_step(sql, "order-7", 6, "DBOS.sleep", 50, 110, attempt=2)
    for number in range(7, 47):
        begin = 68 + (number - 7) * 0.6
        store_step(sql, "order-7", number, "ask_carrier", begin, begin + 0.4, attempt=2)
    store_step(sql, "order-7", 47, "send_mail", 92, 95, attempt=2, error='"secret-error"')


def test_a_terminal_shows_the_picture_that_the_readme_shows(
    order: None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = terminal.Style(80, is_plain=False, is_coloured=False)
    monkeypatch.setattr(terminal.Style, "of_output", lambda: style)

    picture = run("workflow", "timeline", "order-7").out

    assert (
        "```text\n$ pyengine workflow timeline order-7\n" + picture + "```\n"
        in README.read_text(encoding="utf-8")
    )


def test_a_pipe_gets_plain_characters(
    order: None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    done = run("workflow", "timeline", "order-7")

    assert done.out.isascii()
    assert done.out.isprintable() is False  # it has lines, and nothing else that steers a terminal
    assert done.out.replace("\n", "").isprintable()
    assert bars(done.out)["charge"].split() == ["#####", "ok", "8.5s"]
    assert "  ... 38 more ask_carrier " in done.out
    assert (done.status, done.err) == (0, "")


def test_each_row_has_the_times_that_are_recorded_and_no_others(order: None, run: Run) -> None:
    rows = rows_of(run, "order-7")

    assert told(rows)[:8] == [
        ("created", "created", None),
        ("attempt", "attempt 1", None),
        ("step", "reserve", "ok"),
        ("step", "charge", "ok"),
        ("attempt", "attempt 2 (worker-b)", None),
        ("child", "pack", "ok"),
        ("step", "DBOS.getResult", "ok"),
        ("wait", "DBOS.recv", "ok"),
    ]
    assert told(rows)[-2:] == [("step", "send_mail", "error"), ("end", "end", "error")]
    assert len(rows) == 8 + 40 + 2
    assert (rows[1]["started_at"], rows[1]["ended_at"], rows[1]["took"]) == (None, None, None)
    assert seconds(rows[3]) == (6.5, 15)
    assert seconds(rows[4]) == (31, 95)
    assert (seconds(rows[5]), rows[5]["child_workflow_id"]) == ((31.1, 50), "order-7-3")
    assert seconds(rows[7]) == (50, 68)  # not the 110 at which it would have given up
    assert rows[3]["took"] == 8.5


def test_children_are_shown_with_their_steps(order: None, run: Run) -> None:
    rows = rows_of(run, "order-7", "--children")

    inside = [row for row in rows if row["workflow_id"] == "order-7-3"]
    assert told(inside) == [
        ("queue", "queue", None),
        ("attempt", "attempt 1", None),
        ("step", "fetch_goods", "ok"),
    ]
    assert [row["name"] for row in rows].index("queue") == 6
    assert "      1 fetch_goods " in run("workflow", "timeline", "order-7", "--children").out


def test_a_limit_shows_the_time_of_its_steps_alone(order: None, run: Run) -> None:
    rows = rows_of(run, "order-7", "--limit", "2", "--offset", "1")
    assert [row["name"] for row in rows] == [
        "attempt 1", "charge", "attempt 2 (worker-b)", "pack",
    ]  # fmt: skip

    done = run("workflow", "timeline", "order-7", "-l", "2", "-o", "40")
    first, second, *_ = done.out.splitlines()
    assert first == "order-7 (place_order) ERROR"
    assert second.endswith("(1s), a part of its steps")
    assert re.search(r"41 ask_carrier +#+ +ok +400ms", done.out)
    assert "created" not in done.out


def test_behind_the_last_step_there_is_nothing_to_draw(order: None, run: Run) -> None:
    done = run("workflow", "timeline", "order-7", "--offset", "100")

    assert done.err == "workflow order-7 has no step there\n"
    assert len(done.out.splitlines()) == 3
    assert rows_of(run, "order-7", "--offset", "100") == []


@pytest.mark.parametrize("options", [["-l", "1", "-o", "4"], ["-l", "1", "-o", "5"]])
def test_a_wait_is_known_by_the_step_that_a_limit_cuts_off(
    order: None, run: Run, options: list[str]
) -> None:
    rows = [row for row in rows_of(run, "order-7", *options) if row["kind"] != "attempt"]

    assert [(row["name"], seconds(row)) for row in rows] == (
        [("DBOS.recv", (50, 68))] if options[-1] == "4" else []
    )


def test_a_loop_is_its_first_and_last_step_and_how_many_more(run: Run, sql: Session) -> None:
    store_loop(sql, failing=5000)

    lines = run("workflow", "timeline", "loop").out.splitlines()

    assert re.findall(r"^ *(.*poll)", "\n".join(lines), flags=re.MULTILINE) == [
        "1 poll", "... 4,997 more poll", "4999 poll", "5000 poll", "5001 poll", "... 4,997 more poll", "9999 poll",
    ]  # fmt: skip
    assert len(lines) < 20
    assert len(rows_of(run, "loop")) == 9999 + 2


def test_steps_that_repeat_in_turn_are_one_loop() -> None:
    names = ["begin", *["fetch", "store", "tell"] * 100, "fetch", "end"]
    rows = [Row(kind="step", name=name, workflow_id="w", outcome="ok") for name in names]

    assert [(row.name, row.count) for row in folded(rows)] == [
        ("begin", 1), ("fetch", 1), ("store", 1), ("tell", 1), ("fetch, store, tell", 294),
        ("fetch", 1), ("store", 1), ("tell", 1), ("fetch", 1), ("end", 1),
    ]  # fmt: skip
    assert folded(rows[:6]) == rows[:6]


def test_steps_that_a_fork_got_have_no_place_in_its_time(
    run: Run, order: None, sql: Session
) -> None:
    sql.execute(
        "select pyengine.fork_workflow('order-7', start_step => 3, new_workflow_id => 'again')"
    )

    picture = run("workflow", "timeline", "again").out

    assert re.search(
        r"^2 of order-7 +2 steps copied from order-7, which recorded what it did$", picture, re.M
    )
    assert "charge" not in picture
    assert rows_of(run, "again")[0]["started_at"] is None


def test_a_workflow_that_never_started_waits_until_now(run: Run, enqueue: Enqueue) -> None:
    enqueue("waits", queue_name="mails")
    enqueue("later", delay_ms=3_600_000)

    (waits,) = rows_of(run, "waits")
    assert (waits["kind"], waits["name"], waits["outcome"]) == ("queue", "queue mails", "open")
    assert waits["is_open"]
    assert waits["ended_at"] is None
    picture = run("workflow", "timeline", "waits").out
    assert re.search(r"^queue mails :+> open", picture, re.M)
    assert "No process of application app is alive" in " ".join(
        picture.split()
    )  # as `explain` says

    (later,) = rows_of(run, "later")
    assert (later["kind"], later["outcome"]) == ("delay", "open")
    assert later["until"] > later["started_at"]


def test_a_cancelled_workflow_that_never_started_waited_until_then(run: Run, sql: Session) -> None:
    store_workflow(sql, "gone", status="CANCELLED", attempt_count=0, finished_at=60)

    rows = rows_of(run, "gone")

    assert told(rows) == [("queue", "queue", None), ("end", "end", "cancelled")]
    assert seconds(rows[0]) == (0, 60)


def test_a_delay_comes_before_the_queue(run: Run, sql: Session) -> None:
    store_workflow(
        sql, "w", queue_name="q", delayed_until=20, started_at=30, finished_at=40, deadline_at=35
    )

    rows = rows_of(run, "w")

    assert [(row["name"], *seconds(row)) for row in rows] == [
        ("delayed", 0, 20), ("queue q", 20, 30), ("attempt 1", 30, 40), ("deadline", 35, 35), ("end", 40, 40),
    ]  # fmt: skip


def test_an_attempt_that_was_lost_is_drawn_up_to_its_last_step(run: Run, sql: Session) -> None:
    store_workflow(sql, "w", status="ENQUEUED", queue_name="q", started_at=10)
    store_step(sql, "w", 1, "charge", 10, 30)

    created, again, attempt, step = rows_of(run, "w")

    assert created["name"] == "created"
    assert (again["name"], again["note"]) == ("queue q again", "since when is not recorded")
    assert (attempt["outcome"], seconds(attempt)) == ("lost", (10, 30))
    assert step["name"] == "charge"


def test_a_resumed_workflow_tells_no_time_of_its_earlier_runs(run: Run, sql: Session) -> None:
    store_workflow(sql, "w", started_at=100, finished_at=120)
    store_step(sql, "w", 1, "charge", 10, 30)
    store_step(sql, "w", 2, "ship", 100, 120)

    rows = rows_of(run, "w")

    assert [row["name"] for row in rows] == [
        "created", "attempt 1", "charge", "attempt 1", "ship", "end",
    ]  # fmt: skip
    assert rows[1]["started_at"] is None
    assert seconds(rows[3]) == (100, 120)


# A real engine.

queue = Queue("timeline")
failures: list[str] = []


@DBOS.step()
def fetch() -> str:
    return "secret-output"


@DBOS.step(retries_allowed=True, interval_seconds=0.01, max_attempts=3)
def flaky() -> str:
    if len(failures) < 2:
        failures.append("once more")
        raise ConnectionError("secret-error")
    return "secret-output"


@DBOS.step()
def failing() -> None:
    raise ValueError("secret-error")


@DBOS.workflow()
def pack(what: str) -> str:
    return fetch() + what


@DBOS.workflow()
def place(what: str) -> str:
    fetch()
    flaky()
    pack(what)
    DBOS.sleep(0.01)
    DBOS.set_event("state", "secret-event")
    return str(DBOS.recv("paid", timeout_seconds=3600))


@DBOS.workflow()
def break_down(what: str) -> None:
    failing()


@DBOS.workflow()
def count_down(left: int) -> str:
    fetch()
    if left:
        DBOS.continue_as_new(left - 1)
    return "secret-output"


@DBOS.workflow()
def recovered(what: str) -> str:
    return fetch()


def test_a_workflow_that_waits_shows_what_it_did_and_what_it_waits_for(
    run: Run, sql: Session, launch: Callable[..., None]
) -> None:
    launch(hibernate_after=0)
    failures.clear()
    with SetWorkflowID("order"):
        queue.enqueue(place, "secret-input")
    is_for_message = "exists (select 1 from pyengine.hibernations where kind = 'message')"
    wait_until(sql, f"{hibernates('order')} and {is_for_message}")

    rows = rows_of(run, "order")
    assert [(kind, name.partition(" (")[0], outcome) for kind, name, outcome in told(rows)] == [
        ("queue", "queue timeline", None),
        ("attempt", "attempt 1", "hibernates"),
        ("step", "fetch", "ok"),
        ("step", "flaky", "ok"),
        ("child", "pack", "ok"),
        ("step", "DBOS.getResult", "ok"),
        ("sleep", "DBOS.sleep", None),
        ("step", "DBOS.setEvent", "ok"),
        ("wait", "message or event", "open"),
    ]
    assert rows[-1]["until"] > rows[-1]["started_at"]
    assert [row["is_open"] for row in rows].count(True) == 2
    picture = run("workflow", "timeline", "order").out
    assert re.search(r"message or event +[ |_]*> open", picture)
    assert "It hibernates until a message with topic 'paid' arrives" in " ".join(picture.split())

    DBOS.send("order", "secret-message", topic="paid")
    DBOS.get_result("order")
    rows = rows_of(run, "order")
    assert told(rows)[-2:] == [("wait", "DBOS.recv", "ok"), ("end", "end", "ok")]
    assert rows[-2]["took"] > 0
    assert not any(row["is_open"] for row in rows)


def test_a_workflow_that_was_taken_over_shows_its_attempts(
    run: Run, sql: Session, dbos: type[DBOS]
) -> None:
    dead = pending_elsewhere(sql, "w", "recovered", '{"positionalArgs":["x"],"namedArgs":{}}')
    declare_dead(sql, dead)
    DBOS.get_result("w")

    rows = rows_of(run, "w")

    assert [(row["name"].partition(" (")[0], row["note"]) for row in rows] == [
        ("created", "its first start is not recorded"),
        ("attempt 1", "no step was recorded, nor when"),
        ("attempt 2", None),
        ("fetch", None),
        ("end", None),
    ]
    assert rows[2]["took"] > 0


def test_a_workflow_that_began_again_shows_its_last_generations(run: Run, dbos: type[DBOS]) -> None:
    with SetWorkflowID("again"):
        DBOS.start_workflow(count_down, 1).get_result()

    rows = rows_of(run, "again")

    assert [row["name"].partition(" (")[0] for row in rows] == [
        "created", "attempt 1", "fetch", "DBOS.continueAsNew", "attempt 1", "fetch", "end",
    ]  # fmt: skip
    assert rows[1]["started_at"] is None
    assert rows[4]["started_at"] >= rows[3]["ended_at"]


def test_no_payload_and_no_token_is_shown(
    run: Run, sql: Session, launch: Callable[..., None], tmp_path: Path
) -> None:
    launch(hibernate_after=None)
    failures.clear()
    with SetWorkflowID("order"):
        DBOS.start_workflow(place, "secret-input")
    with SetWorkflowID("broken"), pytest.raises(ValueError, match="secret"):
        break_down("secret-input")
    wait_until(sql, "count(*) = 7 from pyengine.steps where workflow_id = 'order'")
    ((token,),) = sql.execute(
        "select lease_token::text from pyengine.workflows where workflow_id = 'order'"
    ).fetchall()

    for workflow_id in ("order", "broken"):
        for options in ([], ["--json"], ["--svg", "-"]):
            done = run("workflow", "timeline", workflow_id, "--children", *options)
            assert done.status == 0
            assert len(done.out) > 100
            assert "secret" not in done.out + done.err
            assert token not in done.out + done.err
    assert "failing" in run("workflow", "timeline", "broken").out
    DBOS.cancel_workflow("order")


# What the names of users may be.

HOSTILE = "<script>alert(1)</script>\x1b]0;owned\x07\x1b[2J\r\n\u202eevil\x9b31m&\"'\ufffe]]>"
LONG = "é漢" * 100


@pytest.fixture
def hostile(sql: Session, process: Process, enqueue: Enqueue) -> str:
    """A workflow that runs, whose names are all hostile or long; its id."""
    workflow_id = "w" + HOSTILE
    enqueue(workflow_id, name="f")
    token = process.claim()
    process.record(workflow_id, token, 1, name=HOSTILE)
    process.record(workflow_id, token, 2, name=LONG)
    process.record(
        workflow_id, token, 3, name="\u05e2\u05d1\u05e8\u05d9\u05ea", error={"name": "E"}
    )
    return workflow_id


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_gets_lines_that_fit_and_nothing_that_steers_it(
    hostile: str, engine_url: str, columns: int
) -> None:
    output = on_a_terminal(engine_url, columns, "workflow", "timeline", hostile)

    lines = visible(output)
    picture = itertools.takewhile(lambda line: not line.startswith("- "), lines[1:])
    assert all(columns_of(line) <= columns for line in picture)
    assert columns_of(lines[0]) <= columns
    assert "\x1b[32m" in output
    assert "█" in output or "▌" in output
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", "\n".join(lines))
    if columns == 200:
        assert "1 <script>" in output


def test_no_color_is_respected(hostile: str, engine_url: str) -> None:
    output = on_a_terminal(engine_url, 80, "workflow", "timeline", hostile, NO_COLOR="1")

    assert "\x1b" not in output
    assert "▌" in output or "█" in output


def test_an_output_that_is_not_utf8_gets_escapes(hostile: str, engine_url: str) -> None:
    output = on_a_terminal(
        engine_url, 200, "workflow", "timeline", hostile, PYTHONIOENCODING="ascii"
    )
    assert "\n".join(visible(output)).isascii()
    assert r"2 \xe9\u6f22" in output

    done = program("workflow", "timeline", hostile, url=engine_url, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_image_is_well_formed_and_runs_nothing(hostile: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"

    done = run("workflow", "timeline", hostile, "--svg", str(path))

    assert done == (0, "", "")
    text = path.read_text(encoding="utf-8")
    root = ET.fromstring(text)
    names = {each.tag.rpartition("}")[2] for each in root.iter()}
    assert names == {"svg", "title", "style", "rect", "text", "path", "g"}
    attributes = {name for each in root.iter() for name in each.attrib}
    assert not [name for name in attributes if name.startswith("on") or name.endswith("href")]
    assert "url(" not in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ufffe]", text)
    assert any(each.text and "<script>alert(1)" in each.text for each in root.iter())
    assert "prefers-color-scheme: dark" in text


def test_the_image_of_a_loop_is_small(run: Run, sql: Session) -> None:
    store_loop(sql)

    assert len(run("workflow", "timeline", "loop", "--svg", "-").out) < 10_000


def test_a_file_that_cannot_be_written_is_told(run: Run, order: None, tmp_path: Path) -> None:
    done = run("workflow", "timeline", "order-7", "--svg", str(tmp_path / "none" / "x.svg"))

    assert done.status == 1
    assert "No such file or directory" in done.err


def test_one_form_is_chosen(run: Run, order: None) -> None:
    assert run("workflow", "timeline", "order-7", "--svg", "-", "--json").status == 2


def test_the_shell_completes_it(engine_url: str) -> None:
    done = program(
        _PYENGINE_COMPLETE="bash_complete", COMP_WORDS="pyengine workflow time", COMP_CWORD="2"
    )
    assert "timeline" in done.stdout
