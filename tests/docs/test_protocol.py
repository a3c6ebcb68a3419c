"""sql/PROTOCOL.md: its statements are valid, and what it names exists."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest

from pyengine.schema import sql_root
from tests.docs.test_sql_readme import first_column
from tests.languages.conformance.runner import SCENARIOS, Run

PAGE = (sql_root() / "PROTOCOL.md").read_text(encoding="utf-8")


def table(title: str) -> list[list[str]]:
    """The rows of the table of a section."""
    section = re.split(r"^#+ ", PAGE.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("statement", re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL))
def test_each_statement_names_functions_arguments_and_columns_that_there_are(
    sql: psycopg.Connection[Any], statement: str
) -> None:
    sql.execute(f"prepare shown as {statement}".encode())
    sql.execute("deallocate shown")


def test_each_operation_calls_functions_that_there_are(sql: psycopg.Connection[Any]) -> None:
    query = "select proname from pg_proc where pronamespace = 'pyengine'::regnamespace"
    functions = {name for (name,) in sql.execute(query)}

    operations = table("Run")

    called = [re.findall(r"`(\w+)`", row[3])[0] for row in operations[1:] if "same" not in row[3]]
    assert len(called) > 6
    assert set(called) <= functions


def test_every_code_of_the_engine_that_it_names_is_one() -> None:
    codes = set(re.findall(r"PE\d{3}", PAGE))

    assert codes <= first_column("## Error codes")
    assert {"PE001", "PE002", "PE003"} < codes


def test_the_functions_of_the_suite_are_those_that_its_scenarios_use() -> None:
    described = {match[1] for row in table("Check it") if (match := re.match(r"`(\w+)\(", row[0]))}
    used = {
        step["enqueue"]["workflow_name"]
        for file in SCENARIOS.glob("*.json")
        for step in json.loads(file.read_text())["steps"]
        if "enqueue" in step
    }

    assert described == used - {"no such function"}


def test_every_verb_of_a_scenario_is_one_of_the_runner() -> None:
    verbs = {
        verb
        for file in SCENARIOS.glob("*.json")
        for step in json.loads(file.read_text())["steps"]
        for verb in step
    }

    assert verbs == {name for name in vars(Run) if not name.startswith("_")}
