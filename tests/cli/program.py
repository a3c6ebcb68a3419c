"""The command line as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def pyengine(
    *arguments: str, url: str | None = None, answer: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run it with the database of PYENGINE_DATABASE_URL and nothing else of that kind."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "DBOS"))}
    if url is not None:
        kept["PYENGINE_DATABASE_URL"] = url
    return subprocess.run(
        [sys.executable, "-m", "pyengine", *arguments],
        input=answer,
        capture_output=True,
        text=True,
        env={**kept, **environment},
        timeout=60,
        check=False,
    )
