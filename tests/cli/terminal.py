"""A command on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys


def on_a_terminal(engine_url: str, columns: int, *arguments: str, **variables: str) -> str:
    """The output of a command on a terminal of that width."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "PYENGINE_DATABASE_URL": engine_url, "COLUMNS": str(columns)}
    environment.pop("NO_COLOR", None)
    environment |= variables
    done = subprocess.Popen(
        [sys.executable, "-m", "pyengine", *arguments],
        stdin=follower, stdout=follower, stderr=follower, env=environment,
    )  # fmt: skip
    os.close(follower)
    output = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        output += chunk
    os.close(leader)
    assert done.wait(timeout=60) == 0
    return output.decode().replace("\r\n", "\n")


def visible(text: str) -> list[str]:
    """The lines of an output without their colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
