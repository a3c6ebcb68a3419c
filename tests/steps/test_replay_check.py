"""The replay check: which workflows that are under way does the code no longer match, and where?"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyengine import DBOS
from pyengine.config import DBOSConfig
from tests.workflows.support import pending_elsewhere

Connection = psycopg.Connection[Any]
Steps = Sequence[tuple[int, str] | tuple[int, str, str]]

ran: list[str] = []


@DBOS.step()
def first() -> str:
    ran.append("first")
    return "first"


@DBOS.step()
def second() -> str:
    ran.append("second")
    return "second"


@DBOS.step()
async def second_async() -> str:
    ran.append("second")
    return "second"


@DBOS.workflow()
def plain() -> list[str]:
    return [first(), second()]


@DBOS.workflow()
async def plain_async() -> list[str]:
    return [first(), await second_async()]


@DBOS.workflow()
def everything() -> Any:
    child = plain()
    handle = DBOS.start_workflow(plain)
    DBOS.set_event("key", 1)
    DBOS.send(handle.workflow_id, "hello")
    if DBOS.patch("change"):
        DBOS.sleep(60)
    return child, handle.get_result(), DBOS.recv("topic", 60)


@DBOS.workflow()
def takes_two(one: int, two: int) -> int:
    return one + two


@DBOS.workflow()
def careless() -> str:
    try:
        return first()
    except Exception:
        return "caught"


@DBOS.workflow()
async def gathers() -> list[str]:
    return list(await asyncio.gather(second_async(), second_async()))


@DBOS.workflow()
def loops() -> None:
    first()
    DBOS.continue_as_new()


@pytest.fixture(autouse=True)
def _constructed(sql: Connection, config: DBOSConfig) -> Iterator[None]:
    ran.clear()
    DBOS.destroy()
    DBOS(config=config)
    yield
    assert ran == [], "a step ran"
    DBOS.destroy()


def under_way(
    sql: Connection, workflow_id: str, name: str, steps: Steps, inputs: str | None = None
) -> None:
    """A workflow that another process runs, with these steps (number, name, child)."""
    arguments = () if inputs is None else (inputs,)
    pending_elsewhere(sql, workflow_id, name, *arguments)
    for step_id, step, *child in steps:
        sql.execute(
            "insert into pyengine.steps (workflow_id, step_id, name, attempt, started_at, completed_at,"
            " serialization, output, child_workflow_id) values (%s, %s, %s, 1, now(), now(), 'json', '1', %s)",
            [workflow_id, step_id, step, child[0] if child else None],
        )


def finished(sql: Connection, workflow_id: str) -> None:
    sql.execute(
        "insert into pyengine.workflows (workflow_id, status, name, created_at, updated_at, finished_at, serialization,"
        " inputs, output) values (%s, 'SUCCESS', 'plain', now(), now(), now(), 'json', '{}', '1')",
        [workflow_id],
    )


def rows(sql: Connection) -> list[Any]:
    """All there is, to see that nothing changes."""
    tables = ("workflows", "steps", "messages", "events", "waiters")
    found: list[Any] = []
    for table in tables:
        found += sql.execute(f"select t.*::text from pyengine.{table} t".encode()).fetchall()
    return found


@pytest.mark.parametrize("name", ["plain", "plain_async"])
@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_history_that_the_code_follows_is_fine(sql: Connection, name: str, length: int) -> None:
    second_name = "second" if name == "plain" else "second_async"
    under_way(sql, "w", name, [(1, "first"), (2, second_name)][:length])

    report = DBOS.check_replay()

    assert (report.checked, report.mismatches, report.is_clean) == (1, [], True)


@pytest.mark.parametrize("name", ["plain", "plain_async", "careless"])
def test_a_step_with_another_name_is_named(sql: Connection, name: str) -> None:
    under_way(sql, "w", name, [(1, "zeroth"), (2, "second")])

    (mismatch,) = DBOS.check_replay().mismatches

    assert (mismatch.workflow_id, mismatch.name, mismatch.step_id) == ("w", name, 1)
    assert (mismatch.recorded, mismatch.expected) == ("zeroth", "first")
    assert mismatch.reason == "step 1 is recorded as zeroth, where the code has first"


def test_a_step_beyond_the_end_of_the_code_is_named(sql: Connection) -> None:
    under_way(sql, "w", "plain", [(1, "first"), (2, "second"), (3, "third")])

    (mismatch,) = DBOS.check_replay().mismatches

    assert (mismatch.step_id, mismatch.recorded, mismatch.expected) == (3, "third", None)
    assert "no more" in mismatch.reason


def test_what_can_not_be_called_is_named(sql: Connection) -> None:
    under_way(sql, "arguments", "takes_two", [], '{"positionalArgs":[1],"namedArgs":{}}')
    under_way(sql, "missing", "gone", [(1, "first")])

    reasons = {each.workflow_id: each.reason for each in DBOS.check_replay().mismatches}

    assert "two" in reasons["arguments"]
    assert "gone is registered" in reasons["missing"]


def test_a_long_history_is_replayed_and_nothing_is_written(sql: Connection) -> None:
    history: Steps = [
        (1, "plain", "c1"),
        (2, "DBOS.getResult", "c1"),
        (3, "plain", "c2"),
        (4, "DBOS.setEvent"),
        (5, "DBOS.send"),
        (6, "DBOS.patch-change"),
        (7, "DBOS.sleep"),
        (8, "DBOS.getResult", "c2"),
        (9, "DBOS.recv"),
        (10, "DBOS.sleep"),
    ]
    for child in ("c1", "c2"):
        finished(sql, child)
    for length in range(len(history) + 1):
        under_way(sql, f"w-{length}", "everything", history[:length])
    before = rows(sql)

    report = DBOS.check_replay()

    assert report.checked == len(history) + 1
    assert report.mismatches == []
    assert rows(sql) == before


def test_siblings_that_are_not_recorded_yet_are_fine(sql: Connection) -> None:
    under_way(sql, "w", "gathers", [(2, "second_async")])

    assert DBOS.check_replay().is_clean


def test_a_loop_that_would_continue_as_new_is_fine(sql: Connection) -> None:
    under_way(sql, "w", "loops", [(1, "first")])
    under_way(sql, "longer", "loops", [(1, "first"), (2, "second")])

    (mismatch,) = DBOS.check_replay().mismatches

    assert (mismatch.workflow_id, mismatch.step_id) == ("longer", 2)


def test_only_what_is_asked_for_is_replayed(sql: Connection) -> None:
    for n in range(3):
        under_way(sql, f"plain-{n}", "plain", [])
        under_way(sql, f"careless-{n}", "careless", [])
    finished(sql, "finished")
    sql.execute(
        "update pyengine.workflows set application_name = 'b' where workflow_id = 'plain-0'"
    )

    assert DBOS.check_replay().checked == 5
    assert DBOS.check_replay(name="plain").checked == 2
    assert DBOS.check_replay(name=["plain", "careless"], limit=4).checked == 4
    assert DBOS.check_replay(workflow_ids=["plain-1", "finished"]).checked == 1


def test_more_than_a_page_is_replayed(sql: Connection) -> None:
    for n in range(103):
        under_way(sql, f"w-{n}", "plain", [(1, "first" if n else "zeroth")])

    report = DBOS.check_replay()

    assert (report.checked, len(report.mismatches)) == (103, 1)


MODULE = """
from pyengine import DBOS

DBOS(config={{"name": "test-app", "system_database_url": {url!r}}})

@DBOS.step()
def first():
    raise AssertionError("a step ran")

@DBOS.workflow()
def plain():
    first()
"""


def command(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pyengine", "replay", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_says_what_does_not_match(
    sql: Connection, engine_url: str, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(MODULE.format(url=engine_url))
    under_way(sql, "good", "plain", [(1, "first")])
    fine = command(tmp_path, "shop", "--check")
    under_way(sql, "bad", "plain", [(1, "zeroth")])
    wrong = command(tmp_path, "shop:app", "--check")
    as_json = command(tmp_path, "shop", "--check", "--json")
    unknown = command(tmp_path, "nothing_here", "--check")

    assert (fine.returncode, fine.stdout) == (0, "1 workflow replayed, mismatches: 0\n")
    assert wrong.returncode == 4
    assert "step 1 is recorded as zeroth, where the code has first" in wrong.stdout
    assert json.loads(as_json.stdout)["mismatches"][0]["workflow_id"] == "bad"
    assert unknown.returncode == 2
