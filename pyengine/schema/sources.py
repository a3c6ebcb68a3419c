"""Find and read the engine's SQL files, in the order in which they are applied.

Two kinds of file make up the engine. Migrations (tables, indexes) are applied once each, in the
order of their numbers, and never change after their release. Repeatables (functions, views, grants)
are replaced as a whole whenever any of them changed.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pyengine.errors import DBOSInvalidArgumentError
from pyengine.schema.rename import SOURCE_SCHEMA, rename_schema

__all__ = [
    "SOURCE_SCHEMA",
    "Migration",
    "Release",
    "Repeatable",
    "Sources",
    "check_schema_name",
    "load",
    "migrations",
    "released",
    "releases",
    "rename_schema",
    "repeatables",
    "sql_root",
]

MAX_NAME_BYTES = 63
_MIGRATION_FILE = re.compile(r"(?P<version>\d{4})_(?P<noun>[a-z][a-z0-9_]*)\.sql")
_RELEASE = re.compile(r"# (?P<version>\d+(\.\d+)+\S*)")
_CONCURRENTLY = re.compile(r"^-- pyengine: concurrently\s*$", re.MULTILINE)
_BREAKING = re.compile(r"^-- pyengine: breaking\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Migration:
    """A versioned file: applied once, recorded with its hash."""

    version: int
    name: str
    sql: str
    sha256: str
    breaking: bool
    concurrent: bool = False

    @property
    def path(self) -> str:
        """The file, relative to the root of the SQL sources."""
        return f"migrations/{self.name}.sql"


@dataclass(frozen=True)
class Repeatable:
    """A file of statements that may be run again at any time."""

    path: str
    sql: str


@dataclass(frozen=True)
class Sources:
    """Everything the engine consists of, in order."""

    migrations: tuple[Migration, ...]
    repeatables: tuple[Repeatable, ...]

    @property
    def latest_version(self) -> int:
        """The number of the newest migration."""
        return self.migrations[-1].version

    @property
    def functions_sha256(self) -> str:
        """One hash over the names and texts of all repeatables."""
        digest = hashlib.sha256()
        for source in self.repeatables:
            digest.update(f"{source.path}\0{source.sql}\0".encode())
        return digest.hexdigest()


def sql_root() -> Path:
    """Return the directory of the SQL sources: inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "sql"
    return packaged if packaged.is_dir() else package.parent / "sql"


def load(root: Path | None = None) -> Sources:
    """Read all SQL sources.

    Args:
        root: the directory to read; the library's own when not given.

    Raises:
        ValueError: a migration is named wrongly, or their numbers have a gap or a repetition.
    """
    return Sources(migrations(root), repeatables(root))


def migrations(root: Path | None = None) -> tuple[Migration, ...]:
    """Read the migrations, in the order of their numbers; see `load`."""
    directory = (root or sql_root()) / "migrations"
    found = [_read_migration(file) for file in _sql_files(directory)]
    for expected, migration in enumerate(found):
        if migration.version != expected:
            msg = (
                f"migration {migration.name} should have the number {expected:04}: "
                "numbers run from 0000 without gaps"
            )
            raise ValueError(msg)
    if not found:
        msg = f"no migrations in {directory}: the package was built without its sql/ directory"
        raise ValueError(msg)
    return tuple(found)


def repeatables(root: Path | None = None) -> tuple[Repeatable, ...]:
    """Read the repeatables: functions (the topic ``base`` first), then views, then grants."""
    top = root or sql_root()
    functions = top / "functions"
    topics = sorted((d.name for d in functions.glob("*/")), key=lambda t: (t != "base", t))
    found = [
        _read_repeatable(file, f"functions/{topic}/{file.name}")
        for topic in topics
        for file in _sql_files(functions / topic)
    ]
    found += [_read_repeatable(f, f"views/{f.name}") for f in _sql_files(top / "views")]
    grants = top / "grants.sql"
    if grants.is_file():
        found.append(_read_repeatable(grants, "grants.sql"))
    return tuple(found)


def released(root: Path | None = None) -> dict[str, str]:
    """Return the name and hash of each migration that is part of a released version."""
    text = ((root or sql_root()) / "migrations" / "RELEASED").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {name: sha256 for sha256, name in lines}


@dataclass(frozen=True)
class Release:
    """A released version of the library, and the newest migration that it had."""

    version: str
    last_migration: int


def releases(root: Path | None = None) -> tuple[Release, ...]:
    """Read which versions were released, oldest first: each is a heading behind the migrations that it had."""
    text = ((root or sql_root()) / "migrations" / "RELEASED").read_text(encoding="utf-8")
    found: list[Release] = []
    last = -1
    for line in text.splitlines():
        if heading := _RELEASE.fullmatch(line):
            found.append(Release(heading["version"], last))
        elif line and not line.startswith("#"):
            last = int(line.split()[1][:4])
    return tuple(found)


def check_schema_name(schema: str) -> str:
    """Return the name unchanged if a schema can have it.

    Raises:
        DBOSInvalidArgumentError: it is empty, longer than 63 bytes (PostgreSQL would cut it), has a
            NUL, or is reserved by PostgreSQL.
    """
    problem = None
    if not schema or not isinstance(cast("object", schema), str):
        problem = "must be a non-empty string"
    elif "\0" in schema:
        problem = "must not contain a NUL character"
    elif len(schema.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        problem = f"is longer than PostgreSQL's {MAX_NAME_BYTES} bytes"
    elif schema.startswith("pg_") or schema == "information_schema":
        problem = "is reserved by PostgreSQL"
    if problem:
        msg = f"schema name {schema!r} {problem}; choose another, for example 'pyengine'"
        raise DBOSInvalidArgumentError(msg)
    return schema


def _read_migration(file: Path) -> Migration:
    match = _MIGRATION_FILE.fullmatch(file.name)
    if match is None:
        msg = f"migration file {file.name!r} is not named NNNN_noun.sql"
        raise ValueError(msg)
    sql = file.read_text(encoding="utf-8")
    return Migration(
        version=int(match["version"]),
        name=file.stem,
        sql=sql,
        sha256=hashlib.sha256(sql.encode()).hexdigest(),
        breaking=_BREAKING.search(sql) is not None,
        concurrent=_CONCURRENTLY.search(sql) is not None,
    )


def _read_repeatable(file: Path, path: str) -> Repeatable:
    return Repeatable(path, file.read_text(encoding="utf-8"))


def _sql_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.sql"), key=lambda file: file.name)
