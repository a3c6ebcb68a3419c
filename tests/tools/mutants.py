"""Break the engine's SQL on purpose, one edit at a time, and see whether the tests notice: `make mutants`.

Each mutant of `guard_mutants` is made in a copy of the sources, and the tests that it names run there until the first
of them fails. A mutant that survives shows a guard that nothing needs, or a test that is missing.

    make mutants                      all of them
    make mutants ONLY=lock            those with `lock` in their names
    make mutants PROCESSES=4          so many at once
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.tools.guard_mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
COPIED = ("pyengine", "sql", "tests", "pyproject.toml", "README.md", "LICENSE", "Makefile")
# The longest that the tests of one mutant may take; one that hangs is noticed as well.
LIMIT_SECONDS = 150
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules")


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        outcome: `killed`, `hung` (noticed too), `SURVIVED`, or `BROKEN`: its tests could not run.
        seconds: how long it took.
        by: the test that noticed it.
    """

    outcome: str
    seconds: float
    by: str


def mutate(text: str, mutant: Mutant) -> str:
    """The text of a source with the mutant's edits.

    Raises:
        ValueError: what an edit replaces is not there, or not as often as the mutant says.
    """
    for old, new in mutant.edits:
        if text.count(old) != mutant.times:
            msg = f"{mutant.name}: {old!r} is {text.count(old)} times in {mutant.path}, not {mutant.times}"
            raise ValueError(msg)
        text = text.replace(old, new)
    return text


def _copy(directory: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=_IGNORED)
        else:
            shutil.copy(source, directory / name)


def _run_tests(directory: Path, tests: tuple[str, ...]) -> tuple[int | None, str]:
    """Run them in a copy: the exit code, or none when they hang, and what was printed."""
    command = [
        sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider",
        "-m", "not slow and not chaos and not packaging", *tests,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command, cwd=directory, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return None, ""
    return process.returncode, output


def judge(directory: Path, mutant: Mutant) -> Verdict:
    """Make a mutant in a copy of the sources, run its tests, and take it back."""
    source = directory / "sql" / mutant.path
    original = source.read_text(encoding="utf-8")
    began = time.monotonic()
    source.write_text(mutate(original, mutant), encoding="utf-8")
    try:
        code, output = _run_tests(directory, mutant.tests)
    finally:
        source.write_text(original, encoding="utf-8")
    outcome = {None: "hung", 0: "SURVIVED", 1: "killed"}.get(code, "BROKEN")
    failed = [line for line in output.splitlines() if line.startswith("FAILED ")]
    by = failed[0].split(" - ")[0] if failed else ""
    if outcome == "killed" and not failed:
        outcome = "BROKEN"  # an error before any test
    if outcome == "BROKEN":
        by = "\n".join(output.splitlines()[-15:])
    return Verdict(outcome, time.monotonic() - began, by)


def main() -> int:
    """Judge the mutants and print a table; the exit code says whether all were noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="judge those with this in their name")
    parser.add_argument("--processes", type=int, default=2, help="how many at once")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="pyengine-mutants-") as top:
        directories: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.processes):
            directory = Path(top) / str(number)
            directory.mkdir()
            _copy(directory)
            directories.put(directory)
        Path(top).chmod(0o755)

        def work(mutant: Mutant) -> Verdict:
            directory = directories.get()
            try:
                return judge(directory, mutant)
            finally:
                directories.put(directory)

        with ThreadPoolExecutor(options.processes) as threads:
            for mutant, verdict in zip(chosen, threads.map(work, chosen), strict=True):
                survivors += verdict.outcome not in ("killed", "hung")
                print(
                    f"{verdict.outcome:8} {verdict.seconds:5.0f} s  {mutant.name:60} {verdict.by}",
                    flush=True,
                )
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants were noticed")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
