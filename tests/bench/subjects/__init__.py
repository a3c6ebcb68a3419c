"""What is measured: pyengine and its peers, each a program in an environment of its own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Subject:
    """A library: its program, and the packages that its environment needs (none: this process's own)."""

    name: str
    title: str
    program: str
    packages: tuple[str, ...] = ()

    def command(self, environments: Path, workload: str, url: str, options: str) -> list[str]:
        """How to run one of its workloads."""
        program = str(_HERE / f"{self.program}.py")
        return [str(self.python(environments)), program, workload, url, options]

    def has(self, workload: str) -> bool:
        """Whether its program has a workload."""
        function = "victim" if workload == "takeover" else workload
        return f"\ndef {function}(" in (_HERE / f"{self.program}.py").read_text(encoding="utf-8")

    def python(self, environments: Path) -> Path:
        """The interpreter of its environment."""
        if not self.packages:
            return Path(sys.executable)
        return self._directory(environments) / "bin" / "python"

    def install(self, environments: Path) -> None:
        """Make its environment if it is not there: the newest releases, from PyPI."""
        done = self._directory(environments) / "installed"
        if not self.packages or done.exists():
            return
        subprocess.run([sys.executable, "-m", "venv", str(done.parent)], check=True)
        pip = [str(done.parent / "bin" / "python"), "-m", "pip", "install", "-qq", "--upgrade"]
        subprocess.run([*pip, *self.packages], check=True)
        done.touch()

    def version(self, environments: Path) -> str:
        """The release that is measured."""
        package = self.packages[0] if self.packages else self.name
        code = f"from importlib.metadata import version; print(version({package!r}))"
        command = [str(self.python(environments)), "-c", code]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def _directory(self, environments: Path) -> Path:
        fingerprint = hashlib.sha256(" ".join(self.packages).encode()).hexdigest()[:8]
        return environments / f"{self.name}-{fingerprint}"


SUBJECTS = (
    Subject("pyengine", "pyengine", "dbos_api"),
    Subject("dbos", "DBOS", "dbos_api", ("dbos", "psycopg[binary]")),
    Subject("absurd-sdk", "Absurd", "absurd_api", ("absurd-sdk", "absurdctl", "psycopg[binary]")),
    Subject(
        "procrastinate", "Procrastinate", "procrastinate_api", ("procrastinate", "psycopg[binary]")
    ),
    Subject("pgqueuer", "PgQueuer", "pgqueuer_api", ("pgqueuer", "asyncpg")),
)
