"""README.md: its examples run and print what it says, and what it lists is what there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import click
import psycopg
import pytest

import pyengine
from pyengine import DBOS, DBOSConfig, embedded, testing
from pyengine.cli import COMMANDS
from tests.fix_server import server_directory
from tests.telemetry.collector import collecting

README = Path(pyengine.__file__).parents[1] / "README.md"
LINES = README.read_text(encoding="utf-8").splitlines()
FIRST, FASTAPI, TESTING = "The first program", "FastAPI", "Testing your workflows"
DATASOURCES, TRACING, KAFKA = "Datasources", "Tracing", "Kafka"
APART = (FIRST, FASTAPI, TESTING, DATASOURCES, TRACING, KAFKA)


def sections(language: str) -> dict[str, list[tuple[int, str]]]:
    """The lines of code in each section, with their numbers."""
    found: dict[str, list[tuple[int, str]]] = {}
    title, fence = "", ""
    for number, line in enumerate(LINES):
        if line.startswith("## "):
            title = line[3:]
        elif line.startswith("```"):
            fence = line[3:] if not fence else ""
        elif fence == language:
            found.setdefault(title, []).append((number, line))
    return found


PYTHON = sections("python")


def program(*titles: str) -> str:
    """The code of some sections, each line under its number in README.md."""
    lines = [""] * len(LINES)
    for title in titles:
        for number, line in PYTHON[title]:
            lines[number] = line
    return "\n".join(lines) + "\n"


def expected_output(*titles: str) -> list[str]:
    """What the comments behind `print(...)` say, in order."""
    lines = [line for title in titles for _, line in PYTHON[title]]
    return [line.split("  # ")[1] for line in lines if line.lstrip().startswith("print(")]


def run(command: list[str], directory: Path, **environment: str) -> str:
    paths = f"{directory}{os.pathsep}{README.parent}"
    outcome = subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def table(heading: str) -> set[str]:
    """The words in backquotes of the first column of the table under a section's heading."""
    begin = LINES.index(f"## {heading}")
    end = next(n for n in range(begin + 1, len(LINES)) if LINES[n].startswith("## "))
    rows = [line for line in LINES[begin:end] if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


def paragraph(beginning: str) -> str:
    begin = next(n for n, line in enumerate(LINES) if line.startswith(beginning))
    return " ".join(LINES[begin : LINES.index("", begin)])


def anchor(heading: str) -> str:
    """What a link to a heading says behind its `#`."""
    return re.sub(r"[^\w -]", "", heading.lstrip("# ")).lower().replace(" ", "-")


def command_paths(parent: str, commands: Iterable[click.Command]) -> Iterator[str]:
    """The commands as they are typed."""
    for command in commands:
        path = f"{parent} {command.name}"
        if isinstance(command, click.Group):
            yield from command_paths(path, command.commands.values())
        else:
            yield path


def test_the_first_program_runs_as_pasted(
    sql: psycopg.Connection[Any], engine_url: str, tmp_path: Path
) -> None:
    (tmp_path / "first.py").write_text(program(FIRST))
    output = run(["first.py"], tmp_path, PYENGINE_DATABASE_URL=engine_url)
    assert output.splitlines() == expected_output(FIRST)


def test_the_datasource_example_runs_as_pasted(
    sql: psycopg.Connection[Any], engine_url: str, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(program(DATASOURCES))
    output = run(["shop.py"], tmp_path, PYENGINE_DATABASE_URL=engine_url)
    assert output.splitlines() == expected_output(DATASOURCES)


def test_the_kafka_example_runs_as_pasted(
    sql: psycopg.Connection[Any], engine_url: str, tmp_path: Path
) -> None:
    pytest.importorskip("confluent_kafka")
    from tests.kafka.broker import broker

    (tmp_path / "billing.py").write_text(program(KAFKA))
    with broker() as kafka:
        kafka.send(kafka.create("orders"), b"order-7")
        output = run(
            ["billing.py"],
            tmp_path,
            PYENGINE_DATABASE_URL=engine_url,
            KAFKA_SERVERS=kafka.address,
        )
    assert output.splitlines() == expected_output(KAFKA)


def test_the_tracing_example_runs_as_pasted_and_sends_its_spans(
    sql: psycopg.Connection[Any], engine_url: str, tmp_path: Path
) -> None:
    (tmp_path / "traced.py").write_text(program(TRACING))
    with collecting() as collector:
        endpoint = f"{collector.url}/v1/traces"
        output = run(
            ["traced.py"],
            tmp_path,
            PYENGINE_DATABASE_URL=engine_url,
            DBOS__OTLP_TRACES_ENDPOINT=endpoint,
        )
    assert output.splitlines() == expected_output(TRACING)
    assert {name for _, name in collector.spans()} == {
        "request",
        "process_order",
        "checking",
        "charge",
    }
    assert {service for service, _ in collector.spans()} == {"shop"}


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for an embedded server."""
    directory = server_directory()
    yield directory / "home"
    shutil.rmtree(directory)


@pytest.mark.slow
def test_the_first_program_needs_no_database(home: Path, tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(program(FIRST))
    output = run(["first.py"], tmp_path, PYENGINE_HOME=str(home), PYENGINE_DATABASE_URL="")
    assert output.splitlines() == expected_output(FIRST)
    assert not embedded.status(home).running


def test_the_examples_print_what_they_say(
    sql: psycopg.Connection[Any], engine_url: str, tmp_path: Path
) -> None:
    titles = [title for title in PYTHON if title not in APART]
    launched = "from readme_first import DBOS, greet\n"
    (tmp_path / "readme_first.py").write_text(program(FIRST))
    text = program(*titles).splitlines(keepends=True)
    text[:3] = [launched, 'DBOS(config={"name": "greeter"})\n', "DBOS.launch()\n"]
    (tmp_path / "examples.py").write_text("".join(text) + "DBOS.destroy()\n")
    try:
        output = run(["examples.py"], tmp_path, PYENGINE_DATABASE_URL=engine_url)
    finally:
        sql.execute("drop table if exists accounts")
    assert output.splitlines() == expected_output(*titles)


def test_the_fastapi_example_serves_a_workflow(
    sql: psycopg.Connection[Any], engine_url: str, tmp_path: Path
) -> None:
    (tmp_path / "readme_first.py").write_text(program(FIRST))
    asking = """
from fastapi.testclient import TestClient

with TestClient(app) as client:
    print(client.get("/greetings/Ada").json())
"""
    text = "from readme_first import DBOS, greet\n" + program(FASTAPI) + asking
    (tmp_path / "web.py").write_text(text)
    assert run(["-W", "ignore", "web.py"], tmp_path, PYENGINE_DATABASE_URL=engine_url) == (
        "Hello, Ada!\n"
    )
    names = sql.execute("select name from pyengine.workflows order by created_at").fetchall()
    assert names == [("greeting_of",), ("greet",)]


def test_the_testing_example_passes(server: embedded.Server, tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(program(TESTING))
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py"]
    output = run(command, tmp_path, PYENGINE_TEST_SERVER_URL=server.url())
    assert "2 passed" in output


def test_the_sql_runs(sql: psycopg.Connection[Any]) -> None:
    for lines in sections("sql").values():
        sql.execute("\n".join(line for _, line in lines).encode())


def test_every_command_exists() -> None:
    makefile = (README.parent / "Makefile").read_text()
    text = "\n".join(LINES)
    targets = set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text, flags=re.MULTILINE))
    assert {"demo", "test"} <= targets
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert table("The command line") == set(command_paths("pyengine", COMMANDS))


def test_the_two_first_commands_are_demo_and_test() -> None:
    commands = next(iter(sections("bash").values()))
    assert [line.split("#")[0].strip() for _, line in commands] == ["make demo", "make test"]


def test_every_configuration_key_is_explained() -> None:
    ignored = re.findall(r"`(\w+)`", paragraph("These keys of DBOS are accepted"))
    explained = table("Configuration")
    assert not explained & set(ignored)
    assert explained | set(ignored) == set(get_type_hints(DBOSConfig))


def test_every_public_name_is_mentioned() -> None:
    text = "\n".join(LINES)
    names = set(pyengine.__all__) | set(testing.__all__)
    names |= {f"DBOS.{name}" for name in {*vars(type(DBOS)), *dir(DBOS)} if name[0] != "_"}
    names -= {"DBOS.mro", "DBOS.register", "__version__"}
    missing = {
        name
        for name in names
        if not re.search(rf"\b{re.escape(name.removesuffix('_async'))}\b", text)
    }
    assert missing == set()


def test_the_contents_name_every_section() -> None:
    text = "\n".join(LINES)
    contents = re.findall(r"\]\(#([^)]+)\)", text[: text.index("\n## ")])
    assert {anchor(line) for line in LINES if line.startswith("## ")} <= set(contents)


def test_every_link_leads_somewhere() -> None:
    text = "\n".join(LINES)
    anchors = {anchor(line) for line in LINES if line.startswith("#")}
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (
            link.removeprefix("#") in anchors or (README.parent / link.partition("#")[0]).exists()
        ), link
