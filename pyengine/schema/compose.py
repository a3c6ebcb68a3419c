"""Compose the engine's SQL files into what installs it and what upgrades it.

One law holds for every way of installing: a fresh install is all migrations followed by all
repeatables; an upgrade from version k is the migrations after k followed by all repeatables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pyengine.schema.rename import quote_name, rename_schema
from pyengine.schema.sources import Migration, Repeatable, Sources

# Function bodies name each other freely, so they are checked when they first run (and by
# plpgsql_check in the tests), not while they are created. The rest keeps the settings of a role or
# a database from changing what the files mean.
SETTINGS = """\
set local check_function_bodies = off;
set local client_min_messages = warning;
set local search_path = pg_catalog, pg_temp;
set local standard_conforming_strings = on;
set local statement_timeout = 0;
"""


@dataclass(frozen=True)
class Plan:
    """The files that bring a schema up to date, in order."""

    migrations: tuple[Migration, ...]
    repeatables: tuple[Repeatable, ...]

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.migrations or self.repeatables)


def install(sources: Sources) -> Plan:
    """Return everything: the plan for an empty schema."""
    return Plan(sources.migrations, sources.repeatables)


def upgrade(sources: Sources, from_version: int) -> Plan:
    """Return the plan for a schema whose newest migration is `from_version`."""
    return Plan(
        tuple(m for m in sources.migrations if m.version > from_version), sources.repeatables
    )


def record_migration(migration: Migration, library_version: str) -> str:
    """Return the statement that records a migration as applied, for the schema ``pyengine``."""
    values = (migration.name, migration.sha256, library_version)
    name, sha256, library = map(_literal, values)
    breaking = "true" if migration.breaking else "false"
    return (
        "insert into pyengine.schema_migrations"
        " (version, name, sha256, breaking, library_version, applied_at)\n"
        f"values ({migration.version}, {name}, {sha256}, {breaking}, {library},"
        " clock_timestamp());\n"
    )


def record_incomplete(migration: Migration) -> str:
    """Return the statement that says that a recorded migration is yet to run, for the schema ``pyengine``."""
    return (
        "update pyengine.schema_migrations as m set is_complete = false"
        f" where m.version = {migration.version};\n"
    )


def record_functions(sources: Sources, library_version: str) -> str:
    """Return the statement that records the repeatables as installed; see `record_migration`."""
    return (
        "update pyengine.schema_migrations as m\n"
        f"set functions_sha256 = {_literal(sources.functions_sha256)},"
        f" library_version = {_literal(library_version)}\n"
        "where m.version = (select max(n.version) from pyengine.schema_migrations as n);\n"
    )


def script(plan: Plan, sources: Sources, *, schema: str, library_version: str) -> str:
    """Return one SQL text that carries out a plan, records included.

    It holds no transaction commands and does not create the schema: that is its caller's part.

    Args:
        plan: what to apply.
        sources: all sources; the hash of its repeatables is recorded.
        schema: the schema's name, without quotes.
        library_version: recorded beside each migration.
    """
    text = source_script(plan, sources, library_version=library_version)
    return rename_schema(text, schema)


def source_script(plan: Plan, sources: Sources, *, library_version: str) -> str:
    """As `script`, for the schema ``pyengine``."""
    parts: list[str] = []
    for migration in plan.migrations:
        parts += [migration.sql, record_migration(migration, library_version)]
    if plan.repeatables:
        parts += [source.sql for source in plan.repeatables]
        parts.append(record_functions(sources, library_version))
    return _join(parts)


def standalone_script(plan: Plan, sources: Sources, *, schema: str, library_version: str) -> str:
    """Return a script for psql: one transaction that carries out a plan.

    A plan that starts at the first migration also creates the schema.
    """
    creates = bool(plan.migrations) and plan.migrations[0].version == 0
    parts = ["begin;\n", SETTINGS]
    if creates:
        parts.append(f"create schema {quote_name(schema)};\n")
    else:
        table = f"{quote_name(schema)}.schema_migrations"
        parts.append(f"lock table {table} in share row exclusive mode;\n")
    parts.append(script(plan, sources, schema=schema, library_version=library_version))
    parts.append("commit;\n")
    return _join(parts)


def _join(parts: Sequence[str]) -> str:
    return "\n".join(part if part.endswith("\n") else part + "\n" for part in parts)


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
