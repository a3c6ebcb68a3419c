"""Python and SQL name the same things: functions, arguments, columns, statuses and error codes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

import psycopg
import pytest
from psycopg import pq

from pyengine import WorkflowStatusString, listing
from pyengine._errorbase import BY_SQLSTATE
from pyengine.database import (
    calls,
    insight_calls,
    message_calls,
    queue_calls,
    rows,
    schedule_calls,
    steering_calls,
    upkeep_calls,
    version_calls,
)
from pyengine.database.calls import BATCHES, Call, View, Write
from pyengine.queue_limits import QueueLimits
from pyengine.schema import sql_root
from tests.tools import lint_sql

Connection = psycopg.Connection[Any]

MODULES: Sequence[ModuleType] = (
    calls,
    insight_calls,
    queue_calls,
    message_calls,
    schedule_calls,
    steering_calls,
    upkeep_calls,
    version_calls,
)

# Public functions that no part of the library calls by a `Call`, and who does.
SQL_ONLY = {
    **{
        path.stem: "for clients in SQL, over the batch function that Python calls"
        for path in (sql_root() / "functions" / "client").glob("[a-z]*.sql")
    },
    "finish_and_claim": "workers in other languages; the library's gateway batches by itself",
    **{
        path.stem: "workflows written in SQL: whoever runs one calls run_sql_step"
        for path in (sql_root() / "functions" / "sqlworkflow").glob("[a-z]*.sql")
        if path.stem != "run_sql_step"
    },
    "generate_workflow_id": "ids for clients in SQL; Python makes its own without asking",
    "create_roles": "`pyengine migrate --create-roles`",
    "grant_role": "`pyengine migrate --application-role`",
    "renew_roles": "grants.sql, and owners of the extension",
    "revoke_role": "its opposite, for administrators",
    "function_key": "the keys of functions, for workers in other languages",
    "list_migrations": "pyengine.schema reads it before anything else is known",
    "wait_key": "the keys of waits, for workers in other languages",
}

# What a json text or a column of the database may be in a dataclass.
COLUMN_TYPES: Mapping[Any, set[str]] = {
    str: {"text", "json", "jsonb"},
    int: {"int4", "int8"},
    float: {"float8"},
    bool: {"bool"},
    datetime: {"timestamptz"},
    timedelta: {"interval"},
    UUID: {"uuid"},
    list[str]: {"_text", "_json"},
    list[int]: {"_int4", "_int8"},
    list[float]: {"_float8"},
    Any: {"json", "jsonb"},
}

EXAMPLES: Mapping[Any, Any] = {
    str: "x",
    int: 1,
    float: 1.0,
    bool: True,
    timedelta: timedelta(1),
    datetime: datetime(2026, 1, 1, tzinfo=timezone.utc),
}


def example_of(hint: Any) -> Any:
    """A value of an annotated type; payloads and texts are all "x", nothing is sent."""
    if hint in EXAMPLES:
        return EXAMPLES[hint]
    if get_origin(hint) is Sequence:
        return [example_of(get_args(hint)[0])]
    if get_origin(hint) is tuple:
        return tuple(example_of(each) for each in get_args(hint))
    return example_of(next(each for each in get_args(hint) if each is not type(None)))


ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "list_workflows": {
        "filters": dict.fromkeys(
            [
                "workflow_ids",
                "application_name",
                "attributes",
                "condition",
                *listing.parameters_of({}, "app"),
                *listing._LISTS.values(),
                *listing._TIMES.values(),
                *listing._FLAGS,
                *listing._COUNTS.values(),
            ]
        )
    },
    "list_places": {"filters": {"names": None}},
    "register_queue": {"limits": QueueLimits().parameters()},
    "send_messages": {"step": Write("steps", "{}")},
}


def builders() -> Iterator[Callable[..., Call[Any]]]:
    """The functions that make calls."""
    for module in MODULES:
        for _, function in inspect.getmembers(module, inspect.isfunction):
            hint = get_type_hints(function).get("return")
            if function.__module__ == module.__name__ and get_origin(hint) is Call:
                yield function


def call_of(builder: Callable[..., Call[Any]]) -> Call[Any]:
    given = ARGUMENTS.get(builder.__name__, {})
    hints = get_type_hints(builder)
    names = inspect.signature(builder).parameters
    return builder(**{name: given.get(name) or example_of(hints[name]) for name in names})


BATCH_CALLS = [
    Call(
        function,
        {"requests": "[]", **({"executor_id": 1} if function.startswith("start") else {})},
        row,
    )
    for function, row in BATCHES.values()
]
CALLS = [
    *(call_of(builder) for builder in builders()),
    *BATCH_CALLS,
    Call("apply_batch", {"batch": "{}", "executor_id": 1}, rows.BatchAnswer),
]


def columns_of(connection: Connection, call: Call[Any]) -> dict[str, str]:
    """Name and type of each column of a call, as the server plans it."""
    result = connection.pgconn.prepare(b"", call.text("pyengine").encode())
    assert result.status == pq.ExecStatus.COMMAND_OK, result.error_message.decode()
    described = connection.pgconn.describe_prepared(b"")
    names = dict(connection.execute("select oid::int, typname from pg_type").fetchall())
    return {
        str((described.fname(n) or b"").decode()): names[described.ftype(n)]
        for n in range(described.nfields)
    }


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.function)
def test_a_call_names_a_function_its_arguments_and_its_columns(
    sql: Connection, call: Call[Any]
) -> None:
    columns = columns_of(sql, call)

    if call.row is None:
        assert len(columns) == 1
        return
    hints = get_type_hints(call.row)
    assert list(columns) == [field.name for field in fields(call.row)]
    wrong = {
        name: (column, hints[name])
        for name, column in columns.items()
        if column not in COLUMN_TYPES[_without_none(hints[name])]
    }
    assert not wrong


def _without_none(hint: Any) -> Any:
    """`str | None` is a str, `list[str | None]` a list of str."""
    arguments = [each for each in get_args(hint) if each is not type(None)]
    if get_origin(hint) is list:
        return list[_without_none(arguments[0])]  # type: ignore[misc]
    return _without_none(arguments[0]) if arguments else hint


def test_every_public_function_has_a_call_or_says_who_uses_it(sql: Connection) -> None:
    query = (
        "select proname from pg_proc"
        " where pronamespace = 'pyengine'::regnamespace and not starts_with(proname, '_')"
    )
    public = {name for (name,) in sql.execute(query)}

    called = {call.function for call in CALLS if not isinstance(call, View)}
    assert public == called | set(SQL_ONLY)
    assert not called & set(SQL_ONLY)


def test_the_statuses_are_those_that_the_table_takes(sql: Connection) -> None:
    query = """
        select pg_get_constraintdef(oid) from pg_constraint
        where conname = 'workflows_status_valid' and connamespace = 'pyengine'::regnamespace
    """
    ((definition,),) = sql.execute(query).fetchall()

    assert set(re.findall(r"'(\w+)'::text", definition)) == {
        each.value for each in WorkflowStatusString
    }


def test_every_error_code_of_the_engine_has_an_exception_and_is_in_use() -> None:
    files = (sql_root() / "functions").rglob("*.sql")
    used = {code for file in files for code in re.findall(r"'(PE\d{3})'", file.read_text())}

    assert used == set(BY_SQLSTATE)


def test_no_function_looks_names_up_in_the_callers_search_path(sql: Connection) -> None:
    """What runs as the owner has a fixed path; the one-line SQL functions run as their caller, to be inlined.

    Two that are called all the time rely on the path of their callers, which run as the owner.
    """
    query = """
        select p.proname from pg_proc p join pg_language l on l.oid = p.prolang
        where p.pronamespace = 'pyengine'::regnamespace and not case l.lanname
            when 'sql' then not p.prosecdef
            when 'plpgsql' then 'search_path=pg_catalog, pg_temp' = any (coalesce(p.proconfig, '{}'))
                and (p.prosecdef or starts_with(p.proname, '_'))
                or p.proname = any (%s) and not p.prosecdef and p.proconfig is null
            else false end
    """

    of_callers = [Path(path).stem for path in lint_sql.RUNS_USERS_CODE | lint_sql.INHERITING]
    assert sql.execute(query, [of_callers]).fetchall() == []


PUBLIC_PRIVILEGES = """
    select 'schema', n.nspname from pg_namespace n, aclexplode(n.nspacl) a
    where n.nspname = 'pyengine' and a.grantee = 0
    union all
    select 'relation', c.relname from pg_class c, aclexplode(c.relacl) a
    where c.relnamespace = 'pyengine'::regnamespace and a.grantee = 0
    union all
    select 'function', p.proname
    from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    where p.pronamespace = 'pyengine'::regnamespace and a.grantee = 0
"""


def test_public_may_use_nothing(sql: Connection) -> None:
    assert sql.execute(PUBLIC_PRIVILEGES).fetchall() == []
