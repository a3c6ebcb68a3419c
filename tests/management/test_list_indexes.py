"""Any single filter finds its newest 100 by an index: what it reads does not grow with the history."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg
import pytest

from pyengine.filters import compile_condition

Connection = psycopg.Connection[Any]

HISTORY = """
    insert into pyengine.workflows (
        workflow_id, status, name, queue_name, application_name, application_version, executor_id, executor_name,
        attempt_count, created_at, updated_at, started_at, finished_at, authenticated_user, parent_workflow_id,
        forked_from, was_forked_from, schedule_name, attributes, serialization, inputs, output
    )
    select 'order-' || lpad(i::text, 8, '0'), r.status,
        case when i % (n / 20) = 3 then 'seldom' when i % 100 = 5 then 'often' else 'mostly_' || i % 4 end,
        case when i % (n / 20) = 7 then 'quiet' when i % 2 = 0 then 'busy' end,
        case when i % (n / 20) = 8 then 'another' else 'app' end,
        case when i <= 50 then '1' when i <= n / 2 then '2' else '3' end,
        1, case when i between n / 2 and n / 2 + 60 then 'gone' else 'local-' || i % 3 end,
        1, r.at, r.at, case when r.status <> 'ENQUEUED' then r.at + interval '1 second' end,
        case when r.status <> 'ENQUEUED' then r.at + interval '2 seconds' end,
        case when i % 1000 = 11 then 'user-' || i % 7 end,
        case when i % 20 = 0 then 'order-' || lpad((i / 200)::text, 8, '0') end,
        case when i % 1000 = 12 then 'order-00000001' end, i % 1000 = 13,
        case when i % 500 = 0 then 'nightly' end,
        case when i % 100 = 0 then jsonb_build_object('customer', i / 1000) end,
        'json', '{"positionalArgs": [1, 2, 3]}', '{"a": 1}'
    from generate_series(1, ROWS) i
    cross join (select ROWS as n) size
    cross join lateral (
        select pyengine.now() - (n - i) * interval '1 second' as at,
            case when i % 5000 = 1 then 'ERROR' when i % 10000 = 2 then 'CANCELLED'
                when i in (9, 99) or i > n - 100 then 'ENQUEUED' else 'SUCCESS' end as status
    ) r
    order by i
"""

FILTERS = {
    "nothing": "load_input => true",
    "ids": "workflow_ids => '{order-00000001,order-00000777}'",
    "an id that begins with": "id_prefixes => '{order-000001}'",
    "no id that begins with": "id_prefixes => '{another-}'",
    "two beginnings of ids": "id_prefixes => '{order-0000011,order-0000012}'",
    "succeeded": "statuses => '{SUCCESS}'",
    "failed": "statuses => '{ERROR}'",
    "cancelled": "statuses => '{CANCELLED}'",
    "dead letters": "statuses => '{MAX_RECOVERY_ATTEMPTS_EXCEEDED}'",
    "enqueued": "statuses => '{ENQUEUED}'",
    "running": "statuses => '{PENDING}'",
    "delayed": "statuses => '{DELAYED}'",
    "failed in any way": "statuses => '{ERROR,CANCELLED,MAX_RECOVERY_ATTEMPTS_EXCEEDED}'",
    "in queues": "queues_only => true",
    "a function": "names => '{mostly_1}'",
    "a function of one in a hundred": "names => '{often}'",
    "a function that seldom runs": "names => '{seldom}'",
    "a function that never ran": "names => '{never}'",
    "a queue": "queue_names => '{busy}'",
    "a queue with little work": "queue_names => '{quiet}'",
    "the application": "application_name => 'app'",
    "another application": "application_name => 'another'",
    "this version": "application_versions => '{3}'",
    "the first version": "application_versions => '{1}'",
    "an executor": "executor_names => '{local-1}'",
    "an executor that is gone": "executor_names => '{gone}'",
    "created since": "created_from => pyengine.now() - interval '1 hour'",
    "created until": "created_to => pyengine.now() - interval '3 hours'",
    "started since": "started_from => pyengine.now() - interval '1 hour'",
    "started until": "started_to => pyengine.now() - interval '3 hours'",
    "finished since": "finished_from => pyengine.now() - interval '1 hour'",
    "finished until": "finished_to => pyengine.now() - interval '3 hours'",
    "nothing finished since": "finished_from => pyengine.now() + interval '1 hour'",
    "a user": "authenticated_users => '{user-3}'",
    "nobody": "authenticated_users => '{nobody}'",
    "children": "has_parent => true",
    "no children": "has_parent => false",
    "forks": "is_fork => true",
    "forks of one": "forked_from => '{order-00000001}'",
    "originals": "was_forked_from => true",
    "a schedule": "schedule_names => '{nightly}'",
    "no such schedule": "schedule_names => '{weekly}'",
    "attributes": """attributes => '{"customer": 5}'""",
}
CONDITIONS = {
    "the failed of a day": "status = 'ERROR' and created_at > now() - interval '1 day'",
    "enqueued": "status = 'ENQUEUED'",
    "a function that seldom runs": "name = 'seldom'",
    "a user": "authenticated_user = 'user-3'",
    "slow ones that just ended": "finished_at > now() - interval '10 minutes' and finished_at - started_at > '1s'",
    "attributes": """attributes @> '{"customer": 5}'""",
}


@pytest.fixture(scope="module")
def history(engine_url: str, request: pytest.FixtureRequest) -> Any:
    """A connection to an engine with a history of so many workflows."""
    from pyengine import schema

    with psycopg.connect(engine_url, autocommit=True) as connection:
        schema.reset(connection, truncate=True)
        connection.execute(HISTORY.replace("ROWS", str(request.param)).encode())
        connection.execute("vacuum analyze pyengine.workflows")
        yield connection
        schema.reset(connection, truncate=True)


CALLS = [
    *(pytest.param(call, id=name) for name, call in FILTERS.items()),
    *(
        pytest.param(
            f"condition => $tree${json.dumps(compile_condition(where))}$tree$", id=f"where {name}"
        )
        for name, where in CONDITIONS.items()
    ),
]


def newest(call: str) -> str:
    return (
        "select workflow_id, status, name, created_at"
        f" from pyengine.list_workflows({call}, newest_first => true, row_limit => 100)"
    )


@pytest.mark.parametrize("history", [40_000], indirect=True)
@pytest.mark.parametrize("call", CALLS)
def test_a_filter_reads_a_small_part_of_the_history(history: Connection, call: str) -> None:
    history.execute(newest(call).encode())  # its functions are planned, its catalogs are read
    pages = history.execute(
        "select relpages from pg_class where oid = 'pyengine.workflows'::regclass"
    )
    ((size,),) = pages.fetchall()

    explain = "explain (analyze, buffers, format json) "
    ((plan,),) = history.execute((explain + newest(call)).encode()).fetchall()

    read = plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]
    assert read < size / 2, f"{read} blocks read of a table with {size}"


@pytest.mark.parametrize("history", [40_000], indirect=True)
def test_the_search_for_what_is_old_begins_at_its_end(history: Connection) -> None:
    """What many workflows have, and only old ones, is slow to find unless it is said until when they were created."""
    ((until,),) = history.execute(
        "select max(created_at) from pyengine.workflows where application_version = '2'"
    ).fetchall()
    call = newest(f"application_versions => '{{2}}', created_to => '{until.isoformat()}'")
    assert len(history.execute(call.encode()).fetchall()) == 100

    ((plan,),) = history.execute(
        f"explain (analyze, buffers, format json) {call}".encode()
    ).fetchall()

    assert plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"] < 100


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
