"""sql/README.md: its example runs, and what it lists is what there is."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import psycopg
import pytest

from pyengine import embedded
from pyengine.schema import sql_root
from tests.tools import sql_reference

PAGE = (sql_root() / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    _, _, rest = PAGE.partition(f"\n{title}\n")
    assert rest, f"sql/README.md has no section {title!r}"
    depth = title.partition(" ")[0]
    return re.split(rf"^#{{2,{len(depth)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def first_column(title: str) -> set[str]:
    rows = [line for line in section(title).splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}


def psql(server: embedded.Server, url: str, *script: str) -> str:
    outcome = subprocess.run(
        [
            *(server.bindir / "psql", "--no-psqlrc", "--no-align", "--tuples-only"),
            *("--set=ON_ERROR_STOP=1", url),
        ],
        input="\n".join(script),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def examples(title: str) -> list[str]:
    return re.findall(r"```sql\n(.*?)```", section(title), flags=re.DOTALL)


def test_the_first_example_enqueues_a_workflow(
    server: embedded.Server, sql: psycopg.Connection[Any], engine_url: str
) -> None:
    first = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)[0]

    workflow_id = psql(server, engine_url, first).strip()

    query = "select workflow_id, name, queue_name, status, inputs -> 'namedArgs' from pyengine.workflows"
    assert sql.execute(query).fetchall() == [
        (workflow_id, "send_invoice", "invoices", "ENQUEUED", {"order_id": 7})
    ]


def test_the_examples_for_clients_print_what_they_say(
    server: embedded.Server, sql: psycopg.Connection[Any], engine_url: str
) -> None:
    """One after another; `-->` tells what the statement before it prints."""
    sql.execute("drop table if exists orders cascade")
    blocks = examples("## Clients")
    printed = psql(server, engine_url, *blocks).splitlines()

    said = [
        line[4:].replace(" | ", "|")
        for b in blocks
        for line in b.splitlines()
        if line[:4] == "--> "
    ]
    rest = iter(printed)
    assert len(said) == 7
    assert all(line in rest for line in said), printed
    sql.execute("drop table orders; drop function on_order")


def test_the_example_of_a_workflow_in_sql_prints_what_it_says(
    server: embedded.Server, sql: psycopg.Connection[Any], engine_url: str
) -> None:
    sql.execute("drop table if exists stock, shipments")
    (example,) = examples("## Workflows written in SQL")
    printed = psql(server, engine_url, example).splitlines()
    assert printed[-2:] == ["1", '{"shipped" : 1}']
    assert sql.execute("select amount from stock").fetchall() == [(2,)]
    sql.execute("drop table stock, shipments; drop function reserve_item, ship_item")


def test_the_example_starts_records_and_finishes_a_workflow(
    server: embedded.Server, sql: psycopg.Connection[Any], engine_url: str
) -> None:
    (example,) = examples("## A run by hand")
    printed = psql(server, engine_url, example)
    assert 'greet-1|SUCCESS|"Hello, Ada!"' in printed
    assert sql.execute("select workflow_id, status, output from pyengine.workflows").fetchall() == [
        ("greet-1", "SUCCESS", "Hello, Ada!")
    ]
    assert sql.execute("select step_id, name, output from pyengine.steps").fetchall() == [
        (1, "find_greeting", "Hello")
    ]


def test_a_batch_is_cancelled_and_a_batch_is_removed(
    server: embedded.Server, sql: psycopg.Connection[Any], engine_url: str
) -> None:
    sql.execute(
        "insert into pyengine.workflows (workflow_id, status, name, created_at, updated_at, finished_at, "
        "serialization, inputs) values "
        "('waiting', 'ENQUEUED', 'greet', pyengine.now(), pyengine.now(), null, 'json', '{}'), "
        "('old', 'SUCCESS', 'greet', 'epoch', 'epoch', 'epoch', 'json', '{}')"
    )

    psql(server, engine_url, *examples("### Many at once"))

    rows = sql.execute("select workflow_id, status from pyengine.workflows").fetchall()
    assert rows == [("waiting", "CANCELLED")]


def test_the_example_of_another_name_says_how_much_got_it(
    server: embedded.Server, sql: psycopg.Connection[Any], engine_url: str
) -> None:
    sql.execute("select pyengine.start_workflow('f', application_name => 'shop')")

    assert psql(server, engine_url, *examples("## Checking and moving")) == "0|0|0|1|0|\n"


def test_conditions_are_what_the_example_says(
    server: embedded.Server, sql: psycopg.Connection[Any], engine_url: str
) -> None:
    psql(server, engine_url, *examples("### `list_workflows(condition => ...)`"))


# The sections whose examples the tests above and below run, with those inside them.
RUN = (
    *("# The engine in SQL", "## Clients", "## A run by hand", "## The life of a workflow"),
    *("## Workflows written in SQL", "## Schedules", "## Checking and moving", "## Documents"),
)


def test_every_example_is_run() -> None:
    found = re.split(r"^(##? .*)$", PAGE, flags=re.MULTILINE)
    with_examples = {
        t for t, text in zip(found[1::2], found[2::2], strict=True) if "```sql" in text
    }

    assert with_examples == set(RUN)


def test_the_reference_is_what_the_database_says(sql: psycopg.Connection[Any]) -> None:
    assert sql_reference.in_readme(PAGE, sql_reference.reference(sql)) == PAGE, (
        "run `make generate`"
    )


@pytest.mark.parametrize(
    ("title", "readers"),
    [
        ("### `start_workflows`", ["_start_requests", "_throttle_requests"]),
        ("### `record_steps`", ["_step_requests"]),
        ("### `finish_workflows`", ["_finish_requests"]),
        ("### `append_streams`", ["_append_requests"]),
    ],
)
def test_every_field_of_a_document_is_described(
    sql: psycopg.Connection[Any], title: str, readers: list[str]
) -> None:
    rows = sql.execute(
        """select unnest(p.proargnames[p.pronargs + 1:]) from pg_proc p
           where p.oid = any (select ('pyengine.' || r)::regproc from unnest(%s::text[]) r)""",
        [readers],
    ).fetchall()
    assert first_column(title) == {name for (name,) in rows} - {"item", "refusal"}


def test_every_error_code_is_explained() -> None:
    sources = "".join(file.read_text() for file in (sql_root() / "functions").rglob("*.sql"))
    assert first_column("## Error codes") == set(re.findall(r"\bPE\d{3}\b", sources))


def test_every_status_has_its_place_in_the_life_of_a_workflow(sql: psycopg.Connection[Any]) -> None:
    row = sql.execute(
        "select pg_get_constraintdef(oid) from pg_constraint where conname = 'workflows_status_valid'"
    ).fetchone()
    assert row is not None
    statuses = set(re.findall(r"'(\w+)'", row[0]))
    assert statuses == set(re.findall(r"\b[A-Z_]{5,}\b", section("## The life of a workflow")))


def test_every_kind_of_wait_is_listed() -> None:
    sources = "".join(file.read_text() for file in (sql_root() / "functions").rglob("*.sql"))
    assert set(re.findall(r"wait_key\('(\w+)'", section("## Waking up"))) == set(
        re.findall(r"wait_key\('(\w+)'", sources)
    )


def test_the_example_of_a_schedule_creates_uses_and_deletes_it(
    server: embedded.Server, sql: psycopg.Connection[Any], engine_url: str
) -> None:
    (example,) = examples("## Schedules")

    printed = psql(server, engine_url, example).splitlines()

    assert printed[0] == "nightly|ACTIVE|0 2 * * *|Europe/Berlin"
    assert printed[1].startswith("sched-nightly-trigger-")
    assert printed[2].split("|")[1] == "sched-nightly-2026-01-30T02:00:00+01:00"
    assert printed[5].startswith("nightly|PAUSED|")
    query = "select count(*), count(distinct application_name) from pyengine.workflows"
    assert sql.execute(query).fetchall() == [(3, 1)]
