"""pyengine workflow: looking at workflows and steering them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Process, Run
from tests.cli.terminal import on_a_terminal, visible

Session = psycopg.Connection[Any]
Enqueue = Callable[..., None]


def statuses(sql: Session) -> dict[str, str]:
    return dict(sql.execute("select workflow_id, status from pyengine.workflows").fetchall())


@pytest.fixture
def four(sql: Session, enqueue: Enqueue, process: Process) -> None:
    """One that succeeded, one that failed, one that runs, one that waits in a queue; created in this order."""
    for number, name in enumerate(("good", "bad", "busy")):
        enqueue(name, attributes={"n": number})
        token = process.claim()
        process.record(name, token, 1, output="secret-step")
        if name == "good":
            process.finish(name, token, output="secret-output")
        if name == "bad":
            process.record(name, token, 2, error={"name": "E", "message": "secret-error"})
            process.finish(name, token, error={"name": "E", "message": "secret-error"})
    sql.execute("select pyengine.register_queue('q', concurrency => 1)")
    enqueue("waits", name="g", queue_name="q", authenticated_user="ada")


def test_a_list_is_aligned_and_newest_first(run: Run, four: None) -> None:
    done = run("workflow", "list")

    lines = done.out.splitlines()
    assert lines[0].split() == [
        "WORKFLOW_ID", "STATUS", "NAME", "QUEUE", "CREATED", "RAN", "ATTEMPTS", "EXECUTOR",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:]] == ["waits", "busy", "bad", "good"]
    column = lines[0].index("NAME")
    assert [line[column - 2 : column + 1] for line in lines[1:]] == ["  g", "  f", "  f", "  f"]
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in done.out
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-S", "ERROR"], ["bad"]),
        (["-S", "error", "-S", "SUCCESS"], ["bad", "good"]),
        (["--name", "g"], ["waits"]),
        (["-q", "q"], ["waits"]),
        (["-u", "ada"], ["waits"]),
        (["-x", "one"], ["busy", "bad", "good"]),
        (["-p", "b"], ["busy", "bad"]),
        (["-p", "%"], []),
        (["-a", "other"], []),
        (["-a", "app", "-n", "f", "-S", "PENDING"], ["busy"]),
        (["--since", "1h", "-n", "g"], ["waits"]),
        (["-t", "2100-01-01"], []),
        (["-e", "2100-01-01T00:00:00Z", "-l", "1"], ["waits"]),
        (["--oldest-first", "-l", "2"], ["good", "bad"]),
        (["-o", "3"], ["good"]),
        (["-w", "attributes ->> 'n' = '1' or queue_name = 'q'"], ["waits", "bad"]),
        (["-w", "name = 'f'", "-S", "ERROR"], ["bad"]),
    ],
)
def test_options_choose(run: Run, four: None, options: list[str], expected: list[str]) -> None:
    assert [
        row["workflow_id"] for row in run("workflow", "list", "--json", *options).json
    ] == expected


def test_nothing_found_is_said_on_standard_error_and_is_an_empty_array_for_programs(
    run: Run, sql: Session
) -> None:
    assert run("workflow", "list") == (0, "", "no workflows\n")
    assert run("workflow", "list", "--json").json == []


def test_a_condition_that_is_refused_is_pointed_at(run: Run, sql: Session) -> None:
    done = run("workflow", "list", "--where", "status = 'ERROR' and nam = 'x'")

    assert done.status == 2
    assert done.err.endswith(
        "Error: where, line 1, column 22: there is no column nam: did you mean name?\n"
        "  status = 'ERROR' and nam = 'x'\n"
        "                       ^^^\n"
    )


@pytest.mark.parametrize(
    "options",
    [
        ["-S", "FAILED"],
        ["--since", "a while"],
        ["-t", "yesterday"],
        ["--limit", "-1"],
        ["--where", ""],
    ],
)
def test_options_that_cannot_be_read_are_wrong_use(
    run: Run, sql: Session, options: list[str]
) -> None:
    done = run("workflow", "list", *options)

    assert (done.status, done.out) == (2, "")
    assert "Error: " in done.err


@pytest.mark.parametrize(
    "command", [["list"], ["get", "good"], ["get", "bad"], ["steps", "bad"], ["explain", "bad"]]
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_payload_is_shown_unless_asked_for(
    run: Run, four: None, command: list[str], form: list[str]
) -> None:
    done = run("workflow", *command, *form)

    assert done.status == 0
    assert "secret" not in done.out + done.err
    if command[0] != "explain":
        assert "secret" in run("workflow", *command, *form, "--payloads").out


def test_no_lease_token_is_ever_shown(run: Run, four: None, sql: Session) -> None:
    ((token,),) = sql.execute(
        "select lease_token::text from pyengine.workflows where workflow_id = 'busy'"
    ).fetchall()

    for command in (["get", "busy"], ["get", "busy", "--json", "--payloads"], ["list", "--json"]):
        assert token not in run("workflow", *command).out


def test_one_workflow_in_detail(run: Run, four: None) -> None:
    shown = dict(
        re.split(r"  +", line, maxsplit=1)
        for line in run("workflow", "get", "bad").out.splitlines()
    )

    assert shown["workflow_id"] == "bad"
    assert shown["status"] == "ERROR"
    assert shown["executor_name"] == "one"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ \(.*s ago\)", shown["created_at"])
    assert "was_forked_from" not in shown


def test_the_steps_tell_outcome_and_time(run: Run, four: None) -> None:
    steps = run("workflow", "steps", "bad", "--json").json

    assert [(step["step_id"], step["name"], step["outcome"]) for step in steps] == [
        (1, "step_1", "SUCCESS"),
        (2, "step_2", "ERROR"),
    ]
    assert steps[0]["took"] == 1.5
    assert run("workflow", "steps", "waits").err == "workflow waits has not recorded a step\n"


def test_an_explanation_is_a_sentence_a_line(run: Run, four: None) -> None:
    lines = run("workflow", "explain", "busy").out.splitlines()

    assert lines[0] == "Workflow busy (f) is PENDING"
    assert lines[1].startswith("- It runs in executor one (id ")
    explained = run("workflow", "explain", "waits", "--json").json
    assert explained["status"] == "ENQUEUED"
    assert {fact["code"] for fact in explained["facts"]} >= {"processes", "waiting_to_be_claimed"}


@pytest.mark.parametrize(
    "command",
    [
        ["get"],
        ["steps"],
        ["explain"],
        ["timeline"],
        ["cancel"],
        ["resume"],
        ["delete", "-y"],
        ["fork"],
        ["rewind", "-y"],
    ],
)
def test_an_unknown_id_is_exit_status_3(run: Run, sql: Session, command: list[str]) -> None:
    done = run("workflow", *command, "nobody")

    assert done.status == 3
    assert done.err == "Error: there is no workflow nobody\n"


@pytest.mark.parametrize("verb", ["cancel", "resume", "delete", "fork", "rewind"])
def test_either_ids_or_options_choose_what_is_steered(run: Run, four: None, verb: str) -> None:
    assert run("workflow", verb, "-y").status == 2
    assert run("workflow", verb, "-y", "good", "-n", "f").status == 2


def test_one_workflow_is_cancelled_and_resumed_without_a_question(
    run: Run, four: None, sql: Session
) -> None:
    assert run("workflow", "cancel", "busy").out == "cancelled 1 of 1\n"
    assert statuses(sql)["busy"] == "CANCELLED"
    assert (
        run("workflow", "cancel", "good").out
        == "cancelled 0 of 1 (the others had ended, or were gone)\n"
    )
    assert run("workflow", "resume", "busy", "--to-queue", "q").out == "resumed 1 of 1\n"
    assert statuses(sql)["busy"] == "ENQUEUED"


def test_many_are_asked_about(run: Run, four: None, sql: Session) -> None:
    refused = run("workflow", "cancel", "-w", "name in ('f', 'g')", answer="n")

    assert refused.status == 1
    assert "This will cancel 4 workflows with name in ('f', 'g') (" in refused.err
    assert "1 PENDING" in refused.err
    assert refused.err.endswith("Error: nothing was cancelled (--yes does it without asking)\n")
    assert statuses(sql)["busy"] == "PENDING"

    assert run("workflow", "cancel", "-w", "name in ('f', 'g')", answer="y").out == (
        "cancelled 2 of 4 (the others had ended, or were gone)\n"
    )
    assert statuses(sql) == {
        "good": "SUCCESS",
        "bad": "ERROR",
        "busy": "CANCELLED",
        "waits": "CANCELLED",
    }


def test_nothing_to_do_is_no_failure(run: Run, four: None) -> None:
    done = run("workflow", "cancel", "-n", "nothing")

    assert done == (0, "", "no workflow has name nothing\n")


def test_one_is_deleted_only_after_a_question(run: Run, four: None, sql: Session) -> None:
    assert run("workflow", "delete", "good", "--yes").out == "deleted 1 of 1\n"
    assert "good" not in statuses(sql)


def test_forks_print_their_ids(run: Run, four: None, sql: Session) -> None:
    assert run("workflow", "fork", "bad", "-S", "2", "-f", "again").out == "again\n"
    assert statuses(sql)["again"] == "ENQUEUED"

    done = run("workflow", "fork", "-n", "f", "--status", "ERROR", "--yes", "--json")
    (copy,) = done.json["workflow_ids"]
    ((origin,),) = sql.execute(
        "select forked_from from pyengine.workflows where workflow_id = %s", [copy]
    ).fetchall()
    assert origin == "bad"


def test_a_workflow_is_rewound(run: Run, four: None, sql: Session) -> None:
    assert run("workflow", "rewind", "bad", "-S", "2", "-y").out == "rewound 1 of 1\n"
    assert statuses(sql)["bad"] == "ENQUEUED"
    assert len(run("workflow", "steps", "bad", "--json").json) == 1


@pytest.fixture
def thousand(sql: Session) -> Session:
    sql.execute(
        "insert into pyengine.workflows"
        " (workflow_id, status, name, created_at, updated_at, serialization, inputs)"
        " select 'w' || i, 'ENQUEUED', 'f', pyengine.now() - (i / 300) * interval '1 minute', pyengine.now(),"
        " 'json', '[]' from generate_series(1, 1000) i"
    )
    return sql


@pytest.mark.parametrize("where", ["name = 'f'", "status = 'ENQUEUED'"])
def test_many_are_steered_page_by_page_each_once(run: Run, thousand: Session, where: str) -> None:
    done = run("workflow", "cancel", "-y", "--json", "-w", where)

    assert done.json["selected"] == done.json["cancelled"] == 1000
    assert len(set(done.json["workflow_ids"])) == 1000
    assert set(statuses(thousand).values()) == {"CANCELLED"}


def test_a_limit_takes_the_oldest(run: Run, thousand: Session) -> None:
    done = run("workflow", "cancel", "-y", "-n", "f", "--limit", "450")

    assert done.out == "cancelled 450 of 450\n"
    left = [name for name, status in statuses(thousand).items() if status == "ENQUEUED"]
    assert len(left) == 550
    assert {int(name[1:]) // 300 for name in left} == {0, 1}


def test_a_rate_is_kept(run: Run, thousand: Session) -> None:
    import time

    begin = time.monotonic()
    run("workflow", "cancel", "-y", "-n", "f", "--limit", "300", "--rate", "500")

    assert 0.4 <= time.monotonic() - begin < 5


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_a_terminal_gets_colours_and_lines_that_fit(
    four: None, enqueue: Enqueue, engine_url: str, columns: int
) -> None:
    enqueue(
        "0199f6c6-5d2e-7d44-9e9f-3a4b5c6d7e8f",
        name="send_all_invoices",
        queue_name="q",
    )

    output = on_a_terminal(engine_url, columns, "workflow", "list")

    assert "\x1b[31mERROR\x1b[0m" in output
    assert max(map(len, visible(output))) <= columns
    if columns >= 80:
        assert "0199f6c6-5d2e-7d44-9e9f-3a4b5c6d7e8f" in output
    assert ("EXECUTOR" in output) == (columns == 160)


@pytest.mark.parametrize("columns", [50, 120])
def test_an_explanation_is_wrapped(four: None, engine_url: str, columns: int) -> None:
    lines = visible(on_a_terminal(engine_url, columns, "workflow", "explain", "busy"))

    assert max(map(len, lines)) <= columns
    assert len(lines) >= 3


def test_progress_is_shown_on_a_terminal(thousand: Session, engine_url: str) -> None:
    output = on_a_terminal(engine_url, 80, "workflow", "cancel", "-y", "-n", "f")

    assert "\rcancelled 200 of 1000 (20%, " in output
    assert output.endswith("cancelled 1000 of 1000\n")


def test_stored_texts_cannot_steer_a_terminal(run: Run, sql: Session, enqueue: Enqueue) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\r\n\u202eevil\x9b31m"
    enqueue("w" + hostile, name="f" + hostile, queue_name=None, authenticated_user=hostile)

    for command in (
        ["list"],
        ["get", "w" + hostile],
        ["explain", "w" + hostile],
        ["cancel", "x" + hostile],
    ):
        done = run("workflow", *command)
        shown = done.out + done.err
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
        assert r"\x1b]0;owned\x07" in shown


def test_output_that_nobody_reads_to_its_end_is_no_traceback(
    thousand: Session, engine_url: str
) -> None:
    command = f"{sys.executable} -m pyengine workflow list --limit 0 | head -1"
    environment = {**os.environ, "PYENGINE_DATABASE_URL": engine_url}

    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout.startswith("WORKFLOW_ID")
    assert done.stderr == ""


def test_an_engine_that_is_not_there_is_told_with_what_to_do(run: Run, sql: Session) -> None:
    done = run("workflow", "list", "--schema", "nowhere")

    assert done.status == 1
    assert 'schema "nowhere" does not exist' in done.err
    assert "`pyengine migrate`" in done.err
