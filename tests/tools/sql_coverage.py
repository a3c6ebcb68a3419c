"""How much of the engine's SQL the tests ran: statements where the server has plpgsql_check, else functions.

pytest writes what it finds with `--sql-coverage`; see tests/fix_sql_coverage.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from pyengine.embedded.settings import Value
from tests.tools import servers

# All functions of all databases of a run fit; a profile that does not is dropped by the extension.
_PROFILED: dict[str, Value] = {
    "shared_preload_libraries": "plpgsql_check",
    "plpgsql_check.profiler": True,
    "plpgsql_check.profiler_max_shared_chunks": 50_000,
}

_STATEMENTS = """
    select p.proname, s.stmtid, s.lineno, s.stmtname, coalesce(s.exec_stmts, 0)
    from pg_proc p
    join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
    cross join lateral plpgsql_profiler_function_statements_tb(p.oid) s
    where p.pronamespace = 'pyengine'::regnamespace and s.stmtname <> 'statement block'
"""
_FUNCTIONS = """
    select p.proname, 0, 0, 'function', coalesce(s.calls, 0)
    from pg_proc p
    join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
    left join pg_stat_user_functions s on s.funcid = p.oid
    where p.pronamespace = 'pyengine'::regnamespace
"""


@dataclass(frozen=True)
class Place:
    """A statement of a function, or with number 0 the function itself."""

    function: str
    number: int
    line: int
    kind: str


Counts = dict[Place, int]


def has_profiler() -> bool:
    """Whether the server that the tests use has plpgsql_check beside it."""
    bindir = os.environ.get("PYENGINE_PG_BINDIR")
    return bindir is not None and servers.has_plpgsql_check(Path(bindir))


def settings() -> dict[str, Value]:
    """The settings of a server that counts."""
    return dict(_PROFILED) if has_profiler() else {}


def count(connection: psycopg.Connection[Any]) -> Counts:
    """How often each statement or function of this database's engine ran."""
    if has_profiler():
        connection.execute("create extension if not exists plpgsql_check")
        found = connection.execute(_STATEMENTS).fetchall()
    else:
        found = connection.execute(_FUNCTIONS).fetchall()
    return {Place(*row[:4]): int(row[4]) for row in found}


def total(parts: Iterable[Counts]) -> Counts:
    """The sum of the counts of several databases."""
    result: Counts = {}
    for part in parts:
        for place, times in part.items():
            result[place] = result.get(place, 0) + times
    return result


def report(counts: Counts) -> Iterator[str]:
    """The lines to print: what never ran, a function a line, and the share that did."""
    missed: dict[str, list[Place]] = {}
    for place, times in counts.items():
        if times == 0:
            missed.setdefault(place.function, []).append(place)
    for function in sorted(missed):
        lines = ", ".join(str(line) for line in sorted({place.line for place in missed[function]}))
        yield f"  {function}: {'never called' if lines == '0' else f'lines {lines} never ran'}"
    what = "functions" if all(place.number == 0 for place in counts) else "statements"
    ran = sum(1 for times in counts.values() if times)
    yield f"SQL coverage: {ran} of {len(counts)} PL/pgSQL {what} ran ({ran / max(len(counts), 1):.1%})"
