"""Write the generated part of sql/README.md: tables, functions and result types, from their comments.

`python -m tests.tools.sql_reference` writes it; with --verify it only compares and fails when it is
out of date.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from pyengine import embedded
from pyengine.schema import migrate, sql_root
from tests.tools.lint_sql import ROLES

README = sql_root() / "README.md"
BEGIN = "<!-- generated from the comments in the database by `make generate`: begin -->"
END = "<!-- generated: end -->"
TOPICS = {
    "client": "For clients: one at a time",
    "workflow": "Workflows",
    "step": "Steps",
    "queue": "Queues",
    "message": "Messages",
    "event": "Events",
    "stream": "Streams",
    "hibernation": "Hibernation",
    "schedule": "Schedules",
    "version": "Application versions",
    "executor": "Executors",
    "sqlworkflow": "Workflows written in SQL",
    "insight": "Insight",
    "upkeep": "Upkeep",
    "base": "Basics",
    "admin": "Administration",
}

_TABLES = """
    select c.relname, pg_catalog.obj_description(c.oid, 'pg_class')
    from pg_catalog.pg_class c
    where c.relnamespace = 'pyengine'::pg_catalog.regnamespace and c.relkind in ('r', 'p')
    order by c.relname
"""
_FUNCTIONS = """
    select p.proname, pg_catalog.pg_get_function_arguments(p.oid),
        pg_catalog.replace(pg_catalog.pg_get_function_result(p.oid), 'pyengine.', ''),
        pg_catalog.obj_description(p.oid, 'pg_proc')
    from pg_catalog.pg_proc p
    where p.pronamespace = 'pyengine'::pg_catalog.regnamespace and p.proname !~ '^_'
    order by p.proname
"""
_DECLARED = """
    select p.proname
    from pg_catalog.pg_proc p
    where p.pronamespace = 'pyengine'::pg_catalog.regnamespace
        and pg_catalog.obj_description(p.oid, 'pg_proc') like '%% Role: ' || %(role)s || '.'
    union all
    select c.relname
    from pg_catalog.pg_class c
    where c.relnamespace = 'pyengine'::pg_catalog.regnamespace and c.relkind = 'v'
        and pg_catalog.obj_description(c.oid, 'pg_class') like '%% Role: ' || %(role)s || '.'
    order by 1
"""
_TYPES = """
    select t.typname, pg_catalog.obj_description(t.oid, 'pg_type'),
        (select pg_catalog.string_agg(
            a.attname || ' ' || pg_catalog.format_type(a.atttypid, null), ', ' order by a.attnum)
        from pg_catalog.pg_attribute a where a.attrelid = t.typrelid)
    from pg_catalog.pg_type t
    join pg_catalog.pg_class c on c.oid = t.typrelid and c.relkind = 'c'
    where t.typnamespace = 'pyengine'::pg_catalog.regnamespace
    order by t.typname
"""
_SHORT: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"timestamp with time zone": "timestamptz",
    r"integer": "int",
    r"DEFAULT (\S+?)(::[a-z ]+?)?(?=,|$)": lambda match: f"default {match[1].lower()}",
}


def reference(conn: psycopg.Connection[Any]) -> str:
    """Return the generated part for an installed engine."""
    return "\n".join(_lines(conn))


def declared(conn: psycopg.Connection[Any], role: str) -> list[str]:
    """Return the functions and views that name this role as the least that may use them."""
    return [name for (name,) in conn.execute(_DECLARED, {"role": role})]


def in_readme(text: str, generated: str) -> str:
    """Return the page with its generated part replaced.

    Raises:
        SystemExit: the page lost its markers.
    """
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    whole, found = re.subn(pattern, lambda _: f"{BEGIN}\n{generated}\n{END}", text, flags=re.DOTALL)
    if found != 1:
        sys.exit(f"sql/README.md must hold the lines {BEGIN!r} and {END!r} once")
    return whole


def _lines(conn: psycopg.Connection[Any]) -> Iterator[str]:
    yield "### Tables"
    yield ""
    for name, comment in conn.execute(_TABLES):
        yield f"- **`{name}`**: {comment}"
    yield ""
    yield "### Roles"
    yield ""
    for role in ROLES:
        yield f"- **{role}**: {', '.join(f'`{name}`' for name in declared(conn, role))}"
    functions = {row[0]: row[1:] for row in conn.execute(_FUNCTIONS)}
    for topic, title in TOPICS.items():
        yield ""
        yield f"### {title}"
        for file in sorted((sql_root() / "functions" / topic).glob("[a-z]*.sql")):
            arguments, result, comment = functions.pop(file.stem)
            yield ""
            yield f"**`{file.stem}({_short(arguments)})`** → `{_short(result.lower())}`<br>"
            yield comment
    if functions:
        sys.exit(f"functions without a topic in tests/tools/sql_reference.py: {sorted(functions)}")
    yield ""
    yield "### Result types"
    yield ""
    for name, comment, columns in conn.execute(_TYPES):
        yield f"- **`{name}`** (`{_short(columns)}`): {comment}"


def _short(text: str) -> str:
    for long, short in _SHORT.items():
        text = re.sub(long, short, text)
    return text


def main() -> int:
    """Write the generated part, or compare it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--verify", action="store_true", help="compare and write nothing")
    with tempfile.TemporaryDirectory(prefix="pyengine-reference-") as directory:
        Path(directory).chmod(0o711)  # the server may run as another account
        with (
            embedded.start(Path(directory) / "server") as server,
            psycopg.connect(server.dsn(), autocommit=True) as conn,
        ):
            migrate(conn)
            generated = reference(conn)
    before = README.read_text(encoding="utf-8")
    current = in_readme(before, generated)
    if not parser.parse_args().verify:
        README.write_text(current, encoding="utf-8")
        return 0
    if current != before:
        print("sql/README.md is out of date: run `make generate` and review the difference")
    return int(current != before)


if __name__ == "__main__":
    sys.exit(main())
