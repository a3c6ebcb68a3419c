"""The workers of this repository, as the conformance suite starts them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.languages.conformance.runner import Worker

HERE = Path(__file__).parent


def python() -> Worker:
    """pyengine's own."""
    return Worker([sys.executable, HERE / "python" / "worker.py"])


def node(modules: Path) -> Worker:
    """The one in Node."""
    return Worker(
        [shutil.which("node") or "node", HERE / "node" / "worker.js"],
        {"NODE_PATH": str(modules)},
    )


def psql(bindir: Path) -> Worker:
    """The one in psql and shell."""
    return Worker([HERE / "psql" / "worker.sh"], {"PSQL": str(bindir / "psql")})
