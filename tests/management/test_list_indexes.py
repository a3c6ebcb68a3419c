"""Any single filter finds its newest 100 by an index: what it reads does not grow with the history."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pyengine import schema
from pyengine.filters import compile_condition
from tests.management.histories import BACKLOG, FILTERS, HISTORY, lists, newest

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def history(engine_url: str, request: pytest.FixtureRequest) -> Any:
    """A connection to an engine with a history of so many workflows."""
    with psycopg.connect(engine_url, autocommit=True) as connection:
        schema.reset(connection, truncate=True)
        connection.execute(HISTORY.replace("ROWS", str(request.param)).encode())
        connection.execute("vacuum analyze pyengine.workflows")
        yield connection
        schema.reset(connection, truncate=True)


# Most are hits in the upper levels of indexes: a probe for each kind, and three blocks for each workflow listed.
MOST_BLOCKS = 1200
# Where all 5,000 of a key are read and sorted it is more.
MOST_OF_A_KEY = 600
LAST_MINUTES = json.dumps(compile_condition("created_at > now() - interval '5 minutes'"))
FAILED = json.dumps(compile_condition("status = 'ERROR'"))
CALLS = [pytest.param(call, id=name) for name, call in lists().items()]


def blocks_read(connection: Connection, statement: str) -> int:
    """How many blocks a statement reads, once its functions are planned and its catalogs are read."""
    connection.execute(statement.encode())
    explain = "explain (analyze, buffers, format json) "
    ((plan,),) = connection.execute((explain + statement).encode()).fetchall()
    return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])


@pytest.mark.parametrize("history", [50_000], indirect=True)
@pytest.mark.parametrize(
    "name", ["children of one long ago", "forks of one long ago", "a user who left"]
)
def test_of_the_many_of_a_key_only_the_newest_are_read(history: Connection, name: str) -> None:
    assert blocks_read(history, newest(lists()[name])) <= MOST_OF_A_KEY


@pytest.mark.parametrize("history", [50_000], indirect=True)
@pytest.mark.parametrize("call", CALLS)
def test_a_filter_reads_little_however_old_and_however_many_its_workflows_are(
    history: Connection, call: str
) -> None:
    assert blocks_read(history, newest(call)) <= MOST_BLOCKS


@pytest.mark.parametrize("history", [50_000], indirect=True)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("newest_first", ["true", "false"])
def test_a_part_of_a_list_is_that_part_of_all(
    history: Connection, call: str, newest_first: str
) -> None:
    ((now,),) = history.execute("select to_json(pyengine.now())::text").fetchall()
    at = call.replace("pyengine.now()", f"timestamptz {now}".replace('"', "'"))
    at = at.replace('{"now": true}', f'{{"time": {now}}}')
    listed = f"select workflow_id from pyengine.list_workflows({at}, newest_first => {newest_first}"
    everything = history.execute(f"{listed})".encode()).fetchall()

    part = history.execute(f"{listed}, row_limit => 37, row_offset => 5)".encode()).fetchall()

    assert part == everything[5:42]


UNLIMITED = {
    "a list of the last minutes": "list_workflows(created_from => pyengine.now() - interval '5 minutes')",
    "a list of one function": "list_workflows(names => '{seldom}')",
    "a list of what failed": "list_workflows(statuses => '{ERROR}')",
    "counts of the last minutes": f"aggregate_workflows(condition => $tree${LAST_MINUTES}$tree$)",
    "counts of what failed": f"aggregate_workflows(condition => $tree${FAILED}$tree$)",
    "steps of the last minutes": f"aggregate_steps(condition => $tree${LAST_MINUTES}$tree$)",
}


@pytest.mark.parametrize("history", [50_000], indirect=True)
@pytest.mark.parametrize("call", UNLIMITED.values(), ids=UNLIMITED.keys())
def test_what_reads_all_that_matches_reads_little_else(history: Connection, call: str) -> None:
    assert blocks_read(history, f"select * from pyengine.{call}") <= MOST_BLOCKS


# Of a backlog these are found by the queue, the few that have been started, or the block range index of names.
OF_A_BACKLOG = [
    "nothing",
    "succeeded",
    "failed",
    "enqueued",
    "running",
    "in queues",
    "a queue",
    "a queue with little work",
    "a function",
    "a function that seldom runs",
    "a function that never ran",
    "another application",
    "this version",
    "started since",
    "nothing started since",
    "finished since",
    "created since",
    "created until",
    "no children",
    "an id that begins with",
    "a user who left",
    "children of one long ago",
    "a schedule that was stopped long ago",
]


@pytest.fixture(scope="module")
def backlog(engine_url: str) -> Iterator[Connection]:
    """A connection to an engine with 50,000 workflows of which nearly all wait."""
    with psycopg.connect(engine_url, autocommit=True) as connection:
        schema.reset(connection, truncate=True)
        connection.execute(BACKLOG.replace("ROWS", "50000").encode())
        connection.execute("vacuum analyze pyengine.workflows")
        yield connection
        schema.reset(connection, truncate=True)


@pytest.mark.parametrize("name", OF_A_BACKLOG)
def test_a_list_of_a_backlog_reads_little(backlog: Connection, name: str) -> None:
    assert blocks_read(backlog, newest(FILTERS[name])) <= MOST_BLOCKS


@pytest.mark.slow
@pytest.mark.parametrize("history", [1_000_000], indirect=True)
@pytest.mark.parametrize("call", CALLS)
def test_a_filter_takes_20_milliseconds_of_a_million(history: Connection, call: str) -> None:
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        history.execute(newest(call).encode()).fetchall()
        times.append(time.perf_counter() - begin)

    assert min(times) <= 0.020
