"""The built package holds what a checkout has."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pyengine._version import __version__
from pyengine.schema import sql_root

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.packaging

# Prints what an installed package, found at argv[1], knows of its SQL.
PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
import pyengine.schema as schema
assert schema.__file__.startswith(sys.argv[1]), schema.__file__
print(schema.sql_root())
print(schema.load().functions_sha256)
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the source distribution, and from it the wheel."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = target.glob("*.tar.gz")
    (wheel,) = target.glob("*.whl")
    return sdist, wheel


def names_of_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def sql_files() -> set[str]:
    return {file.relative_to(sql_root()).as_posix() for file in sql_root().rglob("*.sql")}


def python_files() -> set[str]:
    return {file.relative_to(ROOT).as_posix() for file in (ROOT / "pyengine").rglob("*.py")}


def test_the_wheel_holds_every_sql_file(distributions: tuple[Path, Path]) -> None:
    prefix = "pyengine/sql/"
    names = names_of_wheel(distributions[1])
    packed = {n.removeprefix(prefix) for n in names if n.startswith(prefix) and n.endswith(".sql")}

    assert packed == sql_files()


def test_the_wheel_holds_every_module_and_nothing_else_of_python(
    distributions: tuple[Path, Path],
) -> None:
    names = names_of_wheel(distributions[1])

    assert {name for name in names if name.endswith(".py")} == python_files()


def test_the_wheel_says_that_it_is_typed_and_how_it_is_licensed(
    distributions: tuple[Path, Path],
) -> None:
    names = names_of_wheel(distributions[1])

    assert "pyengine/py.typed" in names
    assert f"pyengine-{__version__}.dist-info/licenses/LICENSE" in names
    assert f"pyengine-{__version__}.dist-info/entry_points.txt" in names


def test_the_source_distribution_can_be_tested(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as archive:
        top = f"pyengine-{__version__}/"
        packed = {name.removeprefix(top) for name in archive.getnames()}

    assert {f"sql/{name}" for name in sql_files()} <= packed
    assert python_files() <= packed
    assert {"LICENSE", "Makefile", "pyproject.toml", "tests/conftest.py"} <= packed


def test_an_installed_package_reads_the_sql_it_carries(
    distributions: tuple[Path, Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(distributions[1]) as archive:
        archive.extractall(tmp_path)

    installed = probe(tmp_path)

    assert installed[0] == str(tmp_path / "pyengine" / "sql")
    assert installed[1:] == probe(ROOT)[1:]


def probe(location: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(location)],
        capture_output=True,
        text=True,
        check=True,
        cwd=location.anchor,
    )
    return done.stdout.split("\n")
